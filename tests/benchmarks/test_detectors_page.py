"""The page of detectors says what the declarations say."""

from benchmarks.detectors_page import PAGE, newest, page
from engine.detectors import DETECTORS


def test_the_page_is_the_one_that_the_declarations_make():
    assert PAGE.read_text(encoding="utf-8") == page(DETECTORS, newest()), "run `avjury bench detectors-page`"


def test_every_detector_and_parameter_is_on_it():
    text = page(DETECTORS, None)
    for declared in DETECTORS:
        assert f"### `{declared.name}`" in text
        assert all(f"| `{parameter.name}` |" in text for parameter in declared.parameters)
