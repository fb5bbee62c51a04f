"""The page under the hands of an operator: what is shown together is together, and nothing is taken from under them."""

import itertools
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from live_kit import encode
from page_kit import PicturedFleet, go, jpeg, put, until
from running_service import running, wait_until

from engine.service.gpu_metrics import GpuMetrics

CONFIG = """
service: {api_private_addresses: true, damping_seconds: 0}
profiles: {stricter: {detectors: {video.black: {black_min_duration: 0.5}}}}
streams: [{id: news, url: news.ts}]
"""
STARTS = itertools.count(500.0, 50.0)
WALL_PUSHES = (
    "window.pushes = 0; import('/page/app.js').then((m) => m.wall.listeners.add(() => { window.pushes += 1; }))"
)


class FakeLibrary:
    """NVIDIA's management library, of one GPU whose decoders are busy."""

    NVMLError = NVMLError_NotSupported = OSError

    def __getattr__(self, name):
        answers = {"nvmlDeviceGetCount": 1, "nvmlDeviceGetUUID": "GPU-one", "nvmlDeviceGetDecoderUtilization": (92, 0)}
        if name in answers:
            return lambda *_: answers[name]
        return lambda *_: type("Told", (), {"used": 9 << 30, "total": 80 << 30, "gpu": 37})


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running(tmp_path_factory.mktemp("service"), CONFIG, fleet=PicturedFleet()) as service:
        with service.client() as client:
            made = client.post("/api/v1/streams", json={"id": "films", "url": "http://127.0.0.1:9/films"})
            assert made.status_code == 201
        yield service


@pytest.fixture
def opened(service):
    """A defect on a stream of the API, two seconds after it began."""
    put(service, "films", 90, black_ratio=0.1)
    start = next(STARTS)
    name, session = service.fleet.report("films", "opened", "video.black", start=start)
    with service.client() as client:
        found = wait_until(lambda: client.get("/api/v1/incidents?state=open&stream=films").json()["items"])
    yield found[0]["id"], name, session
    service.fleet.report("films", "closed", "video.black", start=start)
    with service.client() as client:
        wait_until(lambda: not client.get("/api/v1/incidents?state=open&stream=films").json()["items"])


def pushed(page, times=2):
    """Waits until the wall was pushed so many times more."""
    page.evaluate(WALL_PUSHES)
    until(page, f"window.pushes >= {times}")


def test_timelines_and_strips_show_the_same_time_at_the_same_place(service, visit, opened):
    page = visit(service, viewport={"width": 1300, "height": 900})
    go(page, service, "streams/films")
    page.wait_for_selector(".chart .u-over")
    wide = "(b => [Math.round(b.left), Math.round(b.right)])"
    plots = page.evaluate(f"[...document.querySelectorAll('.u-over')].map(n => {wide}(n.getBoundingClientRect()))")
    lanes = page.evaluate(f"[...document.querySelectorAll('.lane')].map(n => {wide}(n.getBoundingClientRect()))")
    assert len({tuple(place) for place in plots + lanes}) == 1, (plots, lanes)
    # The pointer over one is shown by all, and by the strip.
    page.hover(".u-over >> nth=1")
    page.wait_for_selector(".lane .cursor:not([hidden])")
    # It is shaded from when it began, not from when it was told: two seconds earlier.
    began = page.evaluate("import('/page/stream.js').then(m => m.lasted({opened_at: '2026-01-01T00:00:10Z', "
                          "closed_at: '2026-01-01T00:00:14Z', state: 'closed', duration: 5, detector: 'video.black'}, "
                          "{set_seconds: 2}, 0).map(at => at - Date.parse('2026-01-01') / 1000))")  # fmt: skip
    assert began == [8, 13]


def test_keys_and_focus_stay_where_somebody_is_while_the_page_is_told_things(service, visit, opened):
    page = visit(service)
    page.wait_for_selector(".tile.is-critical")
    page.focus(".chip.is-critical")
    pushed(page)
    assert page.evaluate("document.activeElement.className").startswith("chip")
    page.focus(".tile >> nth=0")
    pushed(page)
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.className").startswith("tile")
    # By keyboard alone: to the stream, its button, its list; all is still there after the next push.
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    page.wait_for_selector("button:has-text('Acknowledge')")
    page.focus("select[aria-label=Maintenance]")
    pushed(page)
    assert page.evaluate("document.activeElement.ariaLabel") == "Maintenance"
    page.focus("button:has-text('Acknowledge')")
    page.keyboard.press("Enter")
    page.wait_for_selector(".alert:has-text('taken by')")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open] dt:has-text('maintenance')")
    page.keyboard.press("Escape")
    page.keyboard.press("f")
    page.wait_for_selector("body.kiosk .tile")
    assert not page.locator("header").is_visible()
    page.keyboard.press("i")
    page.wait_for_selector("body:not(.kiosk) .row")
    assert page.title().startswith("(1) Incidents")


def test_the_profile_of_a_stream_is_changed_where_it_is_looked_at(service, visit):
    put(service, "films", 5)
    page = visit(service)
    go(page, service, "streams/films")
    page.wait_for_selector(".chart:has-text('for 2.0 s')")
    page.select_option("select[aria-label=Profile]", "stricter")
    wait_until(lambda: service.fleet.plans["films"].detectors["video.black"].get("black_min_duration") == 0.5)
    page.wait_for_selector(".chart:has-text('for 0.5 s')")
    page.select_option("select[aria-label=Profile]", "")
    wait_until(lambda: "black_min_duration" not in service.fleet.plans["films"].detectors["video.black"])
    go(page, service, "streams/news")
    page.wait_for_selector("text=From the configuration file")
    assert page.locator("select[aria-label=Profile]").count() == 0


def test_an_incident_plays_its_clip_and_lays_the_map_over_its_picture(service, visit, opened, tmp_path):
    found, name, session = opened
    listener = service.fleet.listener
    listener.on_evidence(name, session, "thumbnail", jpeg())
    listener.on_evidence(name, session, "overlay", jpeg())
    listener.on_evidence(name, session, "clip", encode(tmp_path / "clip.mp4", 3, "-movflags", "+faststart"))
    service.fleet.report("films", "opened", "audio.silence", start=20.0)
    with service.client() as client:
        wait_until(lambda: len(client.get(f"/api/v1/incidents/{found}").json()["evidence"]) == 3)
        wait_until(lambda: len(client.get("/api/v1/incidents?state=open&stream=films").json()["items"]) == 2)
    page = visit(service)
    go(page, service, f"incidents/{found}")
    page.wait_for_selector("video")
    page.evaluate("document.querySelector('video').muted = true; document.querySelector('video').play()")
    until(
        page, "document.querySelector('video').currentTime > 0.3 && document.querySelector('video').videoWidth === 160"
    )
    page.click("button:has-text('Map of damage')")
    until(page, "(i => i && i.naturalWidth === 64)(document.querySelector('.evidence img[src$=overlay]'))")
    page.click("button:has-text('Picture')")
    until(page, "(i => i && i.naturalWidth === 64)(document.querySelector('.evidence img[src$=thumbnail]'))")
    assert "after 2.0 s of it" in page.locator(".facts >> nth=0").inner_text()
    page.click("a:has-text('Later')")
    page.wait_for_selector("h1:has-text('audio.silence')")
    service.fleet.report("films", "closed", "audio.silence", start=20.0)


def test_a_new_stream_is_tested_before_it_is_saved(service, visit, tmp_path):
    encode(tmp_path / "clip.ts", 2)
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=tmp_path)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        page = visit(service, refused="/streams/probe")
        page.wait_for_selector(".tile")
        page.keyboard.press("n")
        page.wait_for_selector("h1:has-text('Add a stream')")
        at = f"http://127.0.0.1:{server.server_address[1]}"
        page.fill("label:has(span:text-is('Id')) input", "sport")
        page.fill("label:has(span:text-is('Address')) input", f"{at}/gone.ts")
        page.click("button:has-text('Test and save')")
        page.wait_for_selector(".probe .bad", timeout=60_000)
        page.wait_for_selector("button:has-text('Save without a test')")
        with service.client() as client:
            assert client.get("/api/v1/streams/sport").status_code == 404
            page.fill("label:has(span:text-is('Address')) input", f"{at}/clip.ts")
            page.click("button:has-text('Test only')")
            page.wait_for_selector(".probe dd:has-text('h264 160x96, 25 fps')", timeout=60_000)
            assert client.get("/api/v1/streams/sport").status_code == 404
            page.click("button:has-text('Test and save')")
            page.wait_for_selector("h1:has-text('sport')", timeout=60_000)
            assert client.get("/api/v1/streams/sport").json()["url"] == f"{at}/clip.ts"
            client.delete("/api/v1/streams/sport")
        page.close()
        server.shutdown()
        thread.join(10)


def test_a_stream_is_edited_and_what_was_taken_out_is_gone(service, visit):
    black = {"black_min_duration": 1, "picture_black_ratio_th": 0.9}
    body = {"id": "edited", "url": "http://127.0.0.1:9/e.ts", "labels": {"region": "eu", "team": "a"},
            "detectors": {"video.black": black, "video.blur": False}}  # fmt: skip
    with service.client() as client:
        assert client.post("/api/v1/streams", json=body).status_code == 201
        page = visit(service)
        go(page, service, "streams/edited")
        page.click("a:has-text('Edit')")
        page.wait_for_selector("h1:has-text('Edit edited')")
        page.fill("label:has(span:text-is('Priority')) input", "80")
        page.fill("label:has(span:text-is('Labels')) textarea", "region=us")
        page.fill("label:has(span:text-is('Detectors')) textarea", '{"video.black": {"black_min_duration": 3}}')
        page.click("button:has-text('Save')")
        page.wait_for_selector(".toast.good")
        kept = client.get("/api/v1/streams/edited").json()
        assert (kept["priority"], kept["labels"]) == (80, {"region": "us"})
        assert kept["detectors"] == {"video.black": {"black_min_duration": 3}}
        page.close()
        client.delete("/api/v1/streams/edited")


def test_the_threshold_is_moved_by_its_line(service, visit):
    put(service, "films", 60, black_ratio=0.6)
    page = visit(service, viewport={"width": 1300, "height": 1000})
    go(page, service, "workshop?stream=films&detector=video.black&span=900")
    page.wait_for_selector("h2:has-text('As tried: 0')")
    box = page.locator(".u-over").bounding_box()
    # From the top of what is shown, where 0.98 is, down below the 0.6 that was measured.
    knob = ".knob:has-text('picture black ratio') input[type=number]"
    assert page.input_value(knob) == "0.98"
    line = next(y for y in range(1, 60) if hovers(page, box["x"] + 300, box["y"] + y))
    page.mouse.move(box["x"] + 300, box["y"] + line)
    page.mouse.down()
    # The scale stands still while the line is held: one move comes to the same value as many.
    bottom = box["height"] * 0.97
    page.mouse.move(box["x"] + 300, box["y"] + bottom)
    wait_until(lambda: float(page.input_value(knob)) < 0.6, 30)
    lowest = float(page.input_value(knob))
    page.mouse.move(box["x"] + 300, box["y"] + line)
    wait_until(lambda: float(page.input_value(knob)) > 0.6, 30)
    highest = float(page.input_value(knob))
    assert highest == pytest.approx(0.98, abs=0.05)
    page.mouse.move(box["x"] + 300, box["y"] + bottom, steps=20)
    wait_until(lambda: float(page.input_value(knob)) == lowest, 30)
    # What else was measured of the stream decides what is shown: from nothing on, or from below 0.6.
    aim = line + (bottom - line) * (highest - max(lowest, 0.3)) / (highest - lowest)
    page.mouse.move(box["x"] + 300, box["y"] + aim, steps=5)
    wait_until(lambda: 0.1 < float(page.input_value(knob)) < 0.6, 30)
    page.mouse.up()
    page.wait_for_selector("h2:has-text('As tried: 1')")
    assert 0.1 < float(page.input_value(knob)) < 0.6


def hovers(page, x, y):
    """Whether a pointer there would take the line."""
    page.mouse.move(x, y)
    return page.evaluate("document.querySelector('.u-over').style.cursor") == "ns-resize"


def test_the_system_page_says_how_busy_gpus_and_their_decoders_are(service, visit, monkeypatch):
    monkeypatch.setattr(GpuMetrics, "_opened", lambda self: FakeLibrary())
    put(service, "news")  # a stream that was never judged is not seen to stall
    page = visit(service)
    go(page, service, "system")
    page.wait_for_selector(".card:has-text('GPU 0') dd:has-text('92 %')")
    told = page.locator(".card:has-text('GPU 0')").inner_text()
    assert "37 %" in told
    assert "9 GiB of 80 GiB" in told
    engine = page.locator(".card:has-text('cpu on cpu')").inner_text()
    assert "room for" in engine
    assert "for 99 %" in engine
    page.focus("button:has-text('Read the configuration again')")
    before = page.locator(".card.good").inner_text()
    service.fleet.state["news"] = ("stalled", time.time())
    service.fleet.listener.on_status(service.fleet.status("news"))
    wait_until(lambda: page.locator(".card.good").inner_text() != before, 10)  # a look comes every two seconds
    assert page.evaluate("document.activeElement.textContent") == "Read the configuration again"
    del service.fleet.state["news"]
