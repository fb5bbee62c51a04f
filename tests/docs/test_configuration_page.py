"""docs/configuration.md: what it shows is taken as it is written."""

import re
from pathlib import Path

from engine.configured import load_config

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_configuration_of_the_page_is_taken(tmp_path):
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.S | re.M)
    assert len(blocks) >= 2
    (tmp_path / "no-signal.png").write_bytes(b"")
    for number, block in enumerate(blocks):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block.replace("/etc/avjury/", f"{tmp_path}/"))
        load_config(path, {})
