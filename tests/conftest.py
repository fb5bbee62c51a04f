"""Fixtures and markers that every test may use."""

import os

import pytest
import torch
from media import media_dir
from programs import program

try:
    from hypothesis import HealthCheck, settings
except ModuleNotFoundError:  # a bare GPU machine; see properties.py
    pass
else:
    # A change is refused for what it breaks, not for what a draw happens to find in code that it does not touch: each
    # test draws the same every time. `make explore` draws anew, again and again.
    checks = [HealthCheck.too_slow]  # how fast a machine draws is no claim of a test
    settings.register_profile("same", derandomize=True, suppress_health_check=checks)
    settings.register_profile("explore", print_blob=True, suppress_health_check=checks)
    settings.load_profile("explore" if os.environ.get("AVJURY_EXPLORE") == "1" else "same")


def pytest_collection_modifyitems(items):
    """`gpu` tests skip without a device, but must not when AVJURY_REQUIRE_GPU=1 says that there is one."""
    if torch.cuda.is_available() or os.environ.get("AVJURY_REQUIRE_GPU") == "1":
        return
    skip = pytest.mark.skip(reason="no NVIDIA GPU")
    for item in items:
        if item.get_closest_marker("gpu") is not None:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def media():
    """The folder of real clips; the test is skipped where it is not there."""
    folder = media_dir()
    if folder is None:
        pytest.skip("no real clips (set AVJURY_MEDIA)")
    return folder


@pytest.fixture(scope="module")
def browser():
    """A real browser."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()
