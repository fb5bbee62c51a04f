"""What the page says of the service's own watching: the canary, and a profile that is tried. In a real browser."""

import os
import time

import pytest
from programs import program
from running_service import running, wait_until

from engine.service.canary import Planting
from engine.verdicts import Incident, Severity

playwright = pytest.importorskip("playwright.sync_api")

CONFIG = """
profiles: {stricter: {detectors: {video.black: {black_min_duration: 0.5, pixel_black_th: 0.2}}}}
shadow: {profile: stricter}
canary: {enabled: true, detectors: [stream.continuity]}
streams: [{id: news, url: news.ts}]
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running(tmp_path_factory.mktemp("service"), CONFIG) as service:
        yield service


@pytest.fixture(scope="module", params=["light", "dark"])
def page(request, service):
    said = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program("chromium"), args=["--no-sandbox"])
        page = browser.new_page(color_scheme=request.param, viewport={"width": 1100, "height": 900})
        page.set_default_timeout(20_000)
        page.on("console", lambda one: said.append(one.text) if one.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.theme = request.param
        yield page
        browser.close()
    assert said == []


def kept(page, name):
    """A picture to look at, where somebody wants one."""
    if folder := os.environ.get("AVJURY_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}-{page.theme}.png", full_page=True)


def test_the_canary_is_on_the_system_page_and_what_it_missed_stands_out(service, page):
    book = service.service.parts.canary.book
    now = time.time()
    if not book.scores():
        book.planted(Planting("video.black", now - 100, now - 94, ()))
        book.told("video.black", now - 97.8)
        book.planted(Planting("audio.silence", now - 60, now - 54, ()))
        book.settle(now, running=True)
        book.told("video.flash", now)
    page.goto(f"{service.url}/#/system")
    row = page.locator("tr", has_text="video.black")
    row.wait_for()
    assert row.locator("td").all_inner_texts() == ["video.black", "1", "1", "0", "100 %", "2.2 s, set 2 s"]
    missed = page.locator("tr.bad", has_text="audio.silence")
    assert missed.locator("td").all_inner_texts()[:5] == ["audio.silence", "1", "0", "1", "0 %"]
    assert page.locator("text=video.flash (1)").count() == 1
    kept(page, "system")


def test_what_a_tried_profile_would_change_is_below_the_workshop(service, page):
    listener = service.fleet.listener
    with service.client() as client:
        for side, start in ((listener.on_incident, 10.0), (listener.on_shadow, 10.0), (listener.on_shadow, 40.0)):
            one = Incident(f"{start}", "news", "video.black", Severity.CRITICAL, start, 1.0)
            side(one, "opened", "s", time.time())
            one.end = start + 4
            side(one, "closed", "s", time.time())
        wait_until(lambda: client.get("/api/v1/shadow").json()["counts"])
    page.goto(f"{service.url}/#/workshop")
    page.locator("text=Profile stricter").wait_for()
    counts = page.locator("tr", has_text="video.black").first.locator("td").all_inner_texts()
    assert counts == ["video.black", "0", "1", "1"]
    assert page.locator("text=video.black.pixel_black_th").count() == 1
    assert page.locator("section", has_text="Told besides: 1").count() >= 1
    kept(page, "workshop")
