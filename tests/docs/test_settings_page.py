"""docs/settings.md lists every key of the configuration, as the models have it."""

from engine.config import Config
from engine.config_reference import PAGE, reference


def test_the_page_is_what_the_models_say():
    assert PAGE.read_text(encoding="utf-8") == reference(), "python -m engine.config_reference writes it anew"


def test_every_section_and_the_keys_of_named_and_listed_things_are_there():
    page = reference()
    for section in Config.model_fields:
        assert f"## {section}\n" in page
    for key in ("service.history_hours", "streams[].maintenance[].zone", "auth.tokens[].role", "notify.sinks.*.type"):
        assert f"| `{key}` |" in page
