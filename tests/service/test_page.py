"""The page as people use it, in a real browser, over a service whose fleet is scripted."""

import os
import time
from dataclasses import replace

import pytest
import servers
from level_seconds import second
from page_kit import PicturedFleet, go, jpeg, put, until
from running_service import running, wait_until

from engine.verdicts import Severity, SyncVerdict

CONFIG = """
auth:
  token: a-token
  tokens: [{name: eve, role: viewer, token: v-token}, {name: olga, role: operator, token: o-token}]
service: {api_private_addresses: true}
streams:
  - {id: news, url: news.ts, labels: {desk: "<img src=x onerror=window.hacked=1>"}}
  - {id: films, url: films.ts}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running(tmp_path_factory.mktemp("service"), CONFIG, fleet=PicturedFleet()) as service:
        yield service


def incident(service, stream="news", detector="video.black", **options):
    name, session = service.fleet.report(stream, "opened", detector, **options)
    with service.client("v-token") as client:
        found = wait_until(lambda: client.get(f"/api/v1/incidents?state=open&stream={stream}&detector={detector}")
                           .json()["items"])  # fmt: skip
    return name, session, found[0]["id"]


def test_who_logs_in_sees_what_the_role_may_and_logs_out(service, visit):
    page = visit(service)
    page.fill("#token", "v-token")
    page.click("button.primary")
    page.wait_for_selector(".tile")
    assert page.locator("text=Add a stream").count() == 0
    assert "v-token" not in page.evaluate("JSON.stringify([document.cookie, {...localStorage}])")
    go(page, service, "streams/news")
    page.wait_for_selector("h1:has-text('news')")
    assert page.locator("button:has-text('Pause')").count() == 0
    page.click("button:has-text('log out')")
    page.wait_for_selector("#token")


ABANDONED = """import('/page/api.js').then(async (api) => {
  // Answers whose bodies never come, until whoever asked does not want them any more.
  const fetched = window.fetch;
  window.fetch = async (address, { signal }) => new Response(new ReadableStream({
    start: (body) => signal.addEventListener('abort', () => body.error(signal.reason)),
  }));
  const seen = api.look('picture'), said = api.get('streams').then(() => 'an answer', () => 'a failure');
  await new Promise((done) => setTimeout(done, 100));
  api.abandon();
  window.fetch = fetched;
  const none = new Promise((done) => setTimeout(() => done('none'), 100));
  return [await seen === undefined, await Promise.race([said, none])];
})"""


def test_an_answer_that_is_abandoned_half_way_is_no_answer_and_no_failure(service, visit):
    page = visit(service, "v-token")
    page.wait_for_selector(".tile")
    assert page.evaluate(ABANDONED) == [True, "none"]


def test_a_stream_shows_its_lip_sync_and_what_it_is_compared_with(tmp_path, visit):
    config = CONFIG.replace("films.ts}", "films.ts, reference: news}")
    with running(tmp_path, config, fleet=PicturedFleet()) as service:
        service.fleet.sync = SyncVerdict("out_of_sync", -80.2, 0.93, "reference", 2100.0, True)
        page = visit(service, "v-token")
        go(page, service, "streams/films")
        page.wait_for_selector("dd:has-text('out of sync: sound 80 ms early (by its reference, confidence 0.93)')")
        page.wait_for_selector("dd:has-text('news: the same programme, 2.1 s later')")
        music = SyncVerdict("in_sync", -70.0, 0.9, "reference", 2000.0, True, (-90.0, 185.0), "other")
        for later, shown in (
            (music, "in sync: sound 70 ms early (by its reference, confidence 0.9; "
                    "90 ms are tolerated where nobody speaks)"),
            (SyncVerdict("unknown", same_programme=False), "unknown"),
        ):  # fmt: skip
            service.fleet.sync = later
            row = page.locator(f"dd:has-text('{shown}')")

            def told(later=later, row=row):  # each second, as a stream does: the first may come before the page listens
                service.fleet.listener.on_second(replace(second("films", 7), sync=later), "s", time.time())
                return row.count()

            servers.eventually(told, every=0.5)
        page.wait_for_selector("dd:has-text('news: another programme')")
        page.close()  # before its service goes


def test_the_wall_shows_pictures_levels_and_the_worst_first(service, visit):
    for stream in ("news", "films"):
        put(service, stream)
    page = visit(service, "o-token")
    page.wait_for_selector(".tile.is-ok >> nth=1")
    until(page, "[...document.querySelectorAll('.tile img')].every(i => i.naturalWidth === 64)")
    assert page.locator(".tile .name").all_inner_texts() == ["films", "news"]
    name, _, _ = incident(service)
    put(service, "news")
    page.wait_for_selector(".tile.is-critical")
    until(page, "document.querySelector('.tile .name').textContent === 'news'")
    assert "video.black" in page.locator(".tile >> nth=0").inner_text()
    assert page.locator(".alarm").inner_text().strip() == "1"
    page.click(".chip.is-critical")
    until(page, "document.querySelectorAll('.tile').length === 1")
    # By keyboard: a tile is a link.
    page.locator(".tile").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('news')")
    service.fleet.report("news", "closed")
    assert name


def test_nothing_that_a_stream_is_called_becomes_code(service, visit):
    evil = "<img src=x onerror=window.hacked=1>"
    with service.client("o-token") as client:
        body = {"id": "evil (1)", "url": "http://127.0.0.1:9/x", "channel": "a (b)", "labels": {"x": evil}}
        assert client.post("/api/v1/streams", json=body).status_code == 201
    _, _, found = incident(service, "evil (1)", "stream.format_change", cause=evil)
    with service.client("o-token") as client:
        client.post(f"/api/v1/incidents/{found}/comments", json={"text": evil + "<script>window.hacked=1</script>"})
    page = visit(service, "o-token")
    for place in ("", "streams/evil%20(1)", "incidents", f"incidents/{found}", "streams/evil%20(1)/edit", "workshop"):
        go(page, service, place)
        page.wait_for_selector("main h1, .tile")
        page.wait_for_load_state("networkidle") if place == "workshop" else page.wait_for_timeout(250)
        assert page.evaluate("window.hacked") is None
        assert page.locator("img[src='x']").count() == 0
    go(page, service, f"incidents/{found}")
    page.wait_for_selector("blockquote")
    assert evil in page.locator("blockquote p").inner_text()
    page.close()  # it shows measures of what goes now
    service.fleet.report("evil (1)", "closed", "stream.format_change")
    with service.client("o-token") as client:
        client.delete("/api/v1/streams/evil (1)")


def test_a_streams_page_shows_its_measures_and_what_may_be_done_works(service, visit):
    put(service, "films", 120)
    page = visit(service, "o-token")
    go(page, service, "streams/films")
    page.wait_for_selector(".chart canvas")
    assert page.locator(".chart").count() >= 4
    assert "bad at or above 0.98" in page.locator(".chart:has-text('video.black')").inner_text()
    assert page.locator(".lane-full").count() >= 1
    page.wait_for_selector("img.now:not([hidden])")
    page.click("button:has-text('Pause')")
    page.wait_for_selector("button:has-text('Resume')")
    assert service.fleet.plans["films"].paused
    page.click("button:has-text('Resume')")
    page.wait_for_selector("button:has-text('Pause')")
    page.select_option("select[aria-label=Maintenance]", "900")
    page.wait_for_selector("button:has-text('End maintenance')")
    assert service.parts.core.suppressed("films", time.time())
    page.click("button:has-text('End maintenance')")
    wait_until(lambda: not service.parts.core.suppressed("films", time.time()))
    # What comes is pushed.
    put(service, "films", momentary=-11.5)
    page.wait_for_selector(".bigmeter:has-text('-11.5 LUFS')")


def test_incidents_are_found_taken_on_and_spoken_of(service, visit, tmp_path):
    _, session, found = incident(service, "news", "video.corruption", cause="encoder 7")
    incident(service, "films", "audio.loudness", severity=Severity.WARNING)
    name = service.fleet.report("news", "updated", "video.corruption", cause="encoder 7")[0]
    service.fleet.listener.on_evidence(name, session, "thumbnail", jpeg())
    page = visit(service, "o-token")
    go(page, service, "incidents?state=open")
    page.wait_for_selector(".row >> nth=1")
    page.fill("input[type=search]", "encoder 7")
    until(page, "document.querySelectorAll('.row').length === 1")
    assert "text=encoder+7" in page.url
    page.click(".row")
    page.wait_for_selector("h1:has-text('video.corruption')")
    page.click("button:has-text('Acknowledge')")
    page.wait_for_selector("dd:has-text('by olga')")
    page.fill("textarea", "the <encoder> was restarted")
    page.click("form.say button")
    page.wait_for_selector("blockquote:has-text('the <encoder> was restarted')")
    until(page, "[...document.querySelectorAll('.evidence img')].some(i => i.naturalWidth === 64)")
    assert "audio.loudness" in page.locator(".rows").inner_text()
    service.fleet.report("news", "closed", "video.corruption", cause="encoder 7")
    page.wait_for_selector("dd:has-text('closed')")
    with service.client("v-token") as client:
        assert client.get(f"/api/v1/incidents/{found}").json()["acknowledged_by"] == "olga"
    service.fleet.report("films", "closed", "audio.loudness", severity=Severity.WARNING)


def test_the_workshop_says_what_another_threshold_would_have_told(service, visit):
    with service.client("o-token") as client:
        client.post("/api/v1/streams", json={"id": "dim", "url": "http://127.0.0.1:9/dim"})
    put(service, "dim", 60, black_ratio=0.6)
    page = visit(service, "o-token")
    go(page, service, "workshop?stream=dim&detector=video.black&span=900")
    page.wait_for_selector("h2:has-text('As tried: 0')")
    page.fill(".knob:has-text('picture black ratio') input[type=number]", "0.5")
    page.wait_for_selector("h2:has-text('As tried: 1')")
    assert page.locator("h2:has-text('As it is now: 0')").count() == 1
    assert page.locator(".knob:has-text('pixel black') input[type=number]").is_disabled()
    page.click("button:has-text('Apply to dim')")
    wait_until(lambda: service.fleet.plans["dim"].detectors["video.black"] == {"picture_black_ratio_th": 0.5})
    page.close()  # it looks at the stream anew now and then
    with service.client("o-token") as client:
        client.delete("/api/v1/streams/dim")


def test_the_system_page_and_every_view_on_a_phone_fit(service, visit):
    put(service, "news")
    page = visit(service, "a-token", viewport={"width": 360, "height": 740}, color_scheme="light", has_touch=True)
    for place in ("", "streams/news", "incidents", "workshop", "system", "new"):
        go(page, service, place)
        page.wait_for_selector("main h1, .tile")
        page.wait_for_timeout(200)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, place
    go(page, service, "system")
    page.wait_for_selector("text=cpu on cpu")
    page.click("text=Read the configuration again")
    page.wait_for_selector(".toast.good")


@pytest.mark.slow
def test_a_wall_of_three_hundred_streams_stays_usable(tmp_path, browser, visit):
    streams = "".join(f"  - {{id: channel {i}, url: {i}.ts}}\n" for i in range(300))
    config = f"auth: {{token: a-token}}\nstreams:\n{streams}"
    with running(tmp_path, config, fleet=PicturedFleet()) as service:
        for i in range(300):
            put(service, f"channel {i}")
        page = visit(service, "a-token", viewport={"width": 1600, "height": 900})
        until(page, "document.querySelectorAll('.tile').length === 300")
        page.click(".segments button:has-text('M')")
        service.fleet.report("channel 217", "opened")
        until(page, "document.querySelector('.tile .name').textContent === 'channel 217'")
        page.fill("input[type=search]", "channel 29")
        until(page, "document.querySelectorAll('.tile').length === 11")
        page.fill("input[type=search]", "")
        until(page, "document.querySelectorAll('.tile').length === 300")
        # What is not in sight asks for no pictures.
        loaded = page.evaluate("[...document.querySelectorAll('.tile img')].filter(i => i.naturalWidth).length")
        assert loaded < 150
        # Fitted, all of them are in sight at once, each with its picture.
        page.click(".segments button:has-text('Fit')")
        until(
            page, "[...document.querySelectorAll('.tile')].every(t => t.getBoundingClientRect().bottom <= innerHeight)"
        )
        until(page, "document.documentElement.scrollHeight <= window.innerHeight")
        wait_until(lambda: page.evaluate("[...document.querySelectorAll('.tile img')].every(i => i.naturalWidth)"), 60)
        if folder := os.environ.get("AVJURY_SCREENSHOTS"):
            page.screenshot(path=f"{folder}/three-hundred.png")
        page.context.close()
        wait_until(lambda: service.parts.wall.readers == 0, 10)
