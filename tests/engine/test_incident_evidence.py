"""Evidence of incidents, from the file or socket to the clip, the picture and the plot."""

import itertools
import json
import re
import socket
import subprocess
import threading
import time
from urllib.parse import unquote

import av
import numpy as np
import pytest
import torch
from media import ffmpeg_exe
from verdict_rows import wait_until

from engine.cli import run
from engine.evidence.folder import safe_name
from engine.evidence.packet_ring import PacketRing
from engine.evidence.recorder import PICTURES_PER_BATCH, EvidenceSettings, Recorder
from engine.evidence.series import MeasureRing, Points, Watched, series_json, thinned
from engine.evidence.worker import QUEUE_TASKS, EvidenceWorker, Task
from engine.ingest.source import Source
from engine.listener import Silent
from engine.media import Measures
from engine.pipeline import Engine, check
from engine.spec import EngineSettings, StreamSpec
from engine.verdicts import Incident, Severity

CHOSEN = {name: {} for name in ("video.black", "audio.silence", "audio.mono")}


def encode(path, *, black="", seconds=14, mute=""):
    """H.264 with a key frame a second and AAC; black and mute while a condition of time `t` holds."""
    video = f"testsrc2=s=160x96:r=25:d={seconds}" + (f",drawbox=t=fill:color=black:enable='{black}'" if black else "")
    audio = f"aevalsrc=random(0)-0.5|random(1)-0.5:d={seconds}:s=48000" + (f",volume=0:enable='{mute}'" if mute else "")
    inputs = ["-f", "lavfi", "-i", video, "-f", "lavfi", "-i", audio]
    codecs = ["-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    subprocess.run([ffmpeg_exe(), "-y", "-v", "error", *inputs, *codecs, str(path)], check=True, timeout=120)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("evidence")


@pytest.fixture(scope="module")
def defects(folder):
    """Black from 6 to 9 s, mute from 7 to 10 s."""
    return encode(folder / "defects.ts", black=r"between(t,5.99,8.97)", mute=r"between(t,7,10)")


def lumas(path):
    """(seconds from the first picture, mean luma) of each picture."""
    with av.open(str(path)) as container:
        found = [
            (float(f.pts * f.time_base), float(f.to_ndarray()[: f.height].mean())) for f in container.decode(video=0)
        ]
    return [(at - found[0][0], luma) for at, luma in found]


def collected(path, settings, **detectors):
    """Judge a file. Returns: its outcome, and every piece of evidence by (kind, detector); clips as their bytes."""
    pieces, names = {}, {}

    class Names(Silent):
        def on_incident(self, incident, change):
            names[incident.id] = incident.detector

    def take(incident_id, kind, content):
        pieces[kind, names[incident_id]] = content if isinstance(content, bytes) else content.read_bytes()

    engine = EngineSettings(device="cpu", evidence=settings)
    [outcome] = check([StreamSpec("s", str(path), {**CHOSEN, **detectors})], engine, Names(), None, take)
    return outcome, pieces


def test_check_writes_a_clip_a_picture_and_the_measure_of_each_incident(capsys, defects, tmp_path):
    chosen = ["--detectors", "video.black,audio.silence", "--profile", "broadcast"]
    page = tmp_path / "page" / "r.html"
    page.parent.mkdir()
    run(["check", str(defects), *chosen, "--evidence", str(tmp_path / "out"), "--report", str(page)])
    capsys.readouterr()
    [stream] = (tmp_path / "out").iterdir()
    assert stream.name.endswith("defects.ts")
    files = {file.name.split("-")[1] + file.suffix: file for file in stream.iterdir()}
    assert set(files) == {
        "video.black.mp4", "video.black.jpg", "video.black.json", "audio.silence.mp4", "audio.silence.json",
    }  # fmt: skip
    html = page.read_text()
    assert "<dd>broadcast, detectors video.black,audio.silence</dd>" in html
    linked = {(page.parent / unquote(to)).resolve() for to in re.findall(r'<a href="(\.\./[^"]+)">', html)}
    assert linked == set(files.values())
    shown = lumas(files["video.black.mp4"])
    dark = [at for at, luma in shown if luma < 20]
    # Pre-roll from the key frame at 1 s on: 5 s before black, 3 s of black, 5 s after it.
    assert (dark[0], dark[-1]) == pytest.approx((5.0, 7.96), abs=0.05)
    assert shown[-1][0] == pytest.approx(12.96, abs=0.1)
    assert len(dark) == 75
    with av.open(str(files["video.black.jpg"])) as picture:
        assert next(picture.decode(video=0)).to_ndarray(format="gray").mean() < 20


def test_the_measure_of_an_incident_can_be_plotted_with_its_threshold(defects):
    _, pieces = collected(defects, EvidenceSettings(patient=True))
    plot = json.loads(pieces["series", "video.black"])
    assert (plot["detector"], plot["measure"], plot["bad"]) == ("video.black", "black_ratio", "above")
    assert (plot["start"], plot["end"]) == pytest.approx((6.0, 9.0), abs=0.05)
    bad = [at for at, value in zip(plot["times"], plot["values"], strict=True) if value >= plot["threshold"]]
    assert (bad[0], bad[-1]) == pytest.approx((6.0, 8.96), abs=0.05)
    assert plot["times"][0] == pytest.approx(1.0, abs=0.1)
    assert plot["times"][-1] == pytest.approx(14.0, abs=0.2)
    assert plot["times"] == sorted(set(plot["times"]))


def test_an_incident_that_lasts_gets_its_clip_at_the_greatest_length(folder):
    path = encode(folder / "long.ts", black="gte(t,3.99)", seconds=20)
    _, pieces = collected(path, EvidenceSettings(pre_roll_seconds=2.0, most_seconds=6.0, patient=True))
    clip = folder / "clip.mp4"
    clip.write_bytes(pieces["clip", "video.black"])
    shown = lumas(clip)
    assert next(at for at, luma in shown if luma < 20) == pytest.approx(2.0, abs=0.05)
    assert shown[-1][0] == pytest.approx(6.0, abs=0.25)


def test_an_incident_that_runs_to_the_end_is_shown_to_the_end(folder):
    path = encode(folder / "end.ts", black="gte(t,5.99)", seconds=9)
    outcome, pieces = collected(path, EvidenceSettings(patient=True))
    assert [one.closed_by for one in outcome.incidents] == ["end_of_stream"]
    clip = folder / "clip.mp4"
    clip.write_bytes(pieces["clip", "video.black"])
    shown = lumas(clip)
    assert sum(luma < 20 for _, luma in shown) == 75
    assert shown[-1][0] == pytest.approx(8.96 - 1.0, abs=0.05)


def test_a_small_ring_costs_the_pre_roll_and_nothing_else(folder, defects):
    _, pieces = collected(defects, EvidenceSettings(ring_bytes=60_000, patient=True))
    clip = folder / "clip.mp4"
    clip.write_bytes(pieces["clip", "video.black"])
    assert len(clip.read_bytes()) < 100_000
    assert len(lumas(clip)) > 10


def test_annotations_get_no_clip_and_what_is_switched_off_is_not_made(folder, defects):
    mono = folder / "mono.mkv"
    command = [ffmpeg_exe(), "-y", "-v", "error", "-f", "lavfi", "-i", "anoisesrc=d=14:a=0.3:r=48000"]
    subprocess.run([*command, "-ac", "2", "-c:a", "flac", str(mono)], check=True, timeout=60)
    outcome, pieces = collected(mono, EvidenceSettings(patient=True))
    assert [str(one.severity) for one in outcome.incidents if one.detector == "audio.mono"] == ["info"]
    assert set(pieces) == {("series", "audio.mono")}
    none = EvidenceSettings(clips=False, thumbnails=False, series=False, patient=True)
    assert collected(defects, none)[1] == {}


class Sender(threading.Thread):
    """Sends a transport stream in real time to who connects, falls silent, then sends it again to who connects next."""

    def __init__(self, clip, seconds):
        super().__init__()
        self.data, self.rate = clip.read_bytes(), clip.stat().st_size / seconds
        self.over = threading.Event()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(0.2)
        self.url = f"tcp://127.0.0.1:{self.server.getsockname()[1]}"

    def run(self):
        served = 0
        while not self.over.is_set():
            try:
                peer, _ = self.server.accept()
            except TimeoutError:
                continue
            began, sent = time.monotonic(), 0
            served += 1
            with peer:
                peer.settimeout(5)
                while sent < len(self.data) and not self.over.wait(0.02):
                    due = min(len(self.data), int((time.monotonic() - began) * self.rate))
                    try:
                        peer.sendall(self.data[sent:due])
                    except OSError:
                        break
                    sent = due
                self.over.wait(7 if served == 1 else 30)
        self.server.close()


@pytest.mark.slow
def test_a_source_that_stalls_and_comes_back_leaves_a_clip_of_both_sides(folder):
    sender = Sender(encode(folder / "live.ts", seconds=6), 6.0)
    sender.start()
    clips = {}

    def take(incident_id, kind, content):
        if kind == "clip":
            clips[incident_id] = content.read_bytes()

    stalls = []

    class Watch(Silent):
        def on_incident(self, incident, change):
            stalls.append((change, incident.id, incident.start, incident.end))

    settings = EvidenceSettings(pre_roll_seconds=2.0, post_roll_seconds=2.0)
    engine = Engine(EngineSettings(device="cpu", reconnect=True, evidence=settings), Watch(), slots=1, evidence=take)
    engine.add(StreamSpec("live", sender.url, {"stream.stall": {"duration": 3.0}}))
    loop = threading.Thread(target=engine.run)
    loop.start()
    try:
        assert wait_until(lambda: clips, 40)
    finally:
        engine.stop()
        loop.join(20)
        sender.over.set()
        sender.join(10)
    opened = next(one for one in stalls if one[0] == "opened")
    closed = next(one for one in stalls if one[0] == "closed")
    path = folder / "stall.mp4"
    path.write_bytes(clips[opened[1]])
    with av.open(str(path)) as container:
        times = [float(f.pts * f.time_base) for f in container.decode(video=0)]
    gaps = [(b - a, a) for a, b in itertools.pairwise(times)]
    gap, at = max(gaps)
    assert gap == pytest.approx(closed[3] - opened[2], abs=1.0)
    assert at >= 1.0
    assert times[-1] - at - gap >= 0.5


def test_a_busy_worker_is_never_waited_for_and_what_it_loses_is_counted():
    go, taken = threading.Event(), []
    worker = EvidenceWorker(lambda incident_id, kind, content: taken.append(incident_id))
    worker.start()

    def slow():
        go.wait(10)
        return b"x"

    began = time.monotonic()
    accepted = [worker.submit(Task(f"{n}", "s", "series", slow)) for n in range(QUEUE_TASKS + 10)]
    assert time.monotonic() - began < 2.0
    assert accepted.count(False) in (9, 10)
    go.set()
    worker.stop(20.0)
    assert len(taken) == accepted.count(True) == worker.counters.series


def test_a_piece_that_fails_costs_itself_alone():
    taken = []

    def sink(incident_id, kind, content):
        if content == b"refused":
            raise OSError("disk full")
        taken.append((incident_id, kind, content))

    def bug():
        raise RuntimeError("bug")

    worker = EvidenceWorker(sink)
    worker.start()
    for name, make in (("a", bug), ("b", lambda: b"refused"), ("c", lambda: None), ("d", lambda: b"good")):
        worker.submit(Task(name, "s", "thumbnail", make))
    worker.stop(10.0)
    assert taken == [("d", "thumbnail", b"good")]
    assert (worker.counters.failed, worker.counters.thumbnails, worker.counters.bytes) == (2, 1, 4)


def rows(slots, start, values):
    tensor = torch.tensor(values, dtype=torch.float64)
    times = torch.tensor(start, dtype=torch.float64)
    return Measures("video", ("a", "b"), torch.tensor(slots), times, times, tensor)


@pytest.mark.parametrize("host", [True, False], ids=["numpy", "torch"])
def test_a_ring_of_measures_gives_the_last_rows_of_its_slot_in_order(host):
    ring = MeasureRing(3, torch.device("cpu"), rows=4, host=host)
    for n in range(6):
        ring.add(rows([0, 2], [n, n + 0.5], [[n, 10 * n], [-n, float("nan")]]))
    found = ring.read(0, "b", 3.0)
    assert found.times.tolist() == [3.0, 4.0, 5.0]
    assert found.values.tolist() == [30.0, 40.0, 50.0]
    assert ring.read(0, "b", 0.0).times.tolist() == [2.0, 3.0, 4.0, 5.0]
    assert np.isnan(ring.read(2, "b", 0.0).values).all()
    assert len(ring.read(1, "a", 0.0).times) == 0
    assert len(ring.read(0, "no such column", 0.0).times) == 0
    ring.open_slot(0)
    assert len(ring.read(0, "a", 0.0).times) == 0


def test_points_join_without_a_moment_twice_and_keep_their_peaks_when_thinned():
    early, late = Points(np.arange(5.0), np.zeros(5)), Points(np.arange(3.0, 8.0), np.ones(5))
    assert early.joined(late).times.tolist() == list(range(8))
    times = np.arange(10_000.0)
    values = np.sin(times / 100)
    values[1234], values[5678], values[9000:9100] = 50.0, -50.0, np.nan
    kept = thinned(Points(times, values), 200)
    assert len(kept.times) <= 200
    assert np.nanmax(kept.values) == 50.0
    assert np.nanmin(kept.values) == -50.0
    assert (np.diff(kept.times) > 0).all()
    np.testing.assert_array_equal(values[np.searchsorted(times, kept.times)], kept.values)
    assert thinned(early, 5) is early


def test_a_plot_is_json_that_every_parser_takes():
    text = series_json(
        Points(np.array([0.0, 0.1]), np.array([float("nan"), float("inf")])),
        stream="s", detector="a.b", watched=Watched("video", "m", 1.0, 0.5, True), start=0.0, end=None,
    )  # fmt: skip
    plot = json.loads(text, parse_constant=pytest.fail)
    assert plot["values"] == [None, None]
    assert (plot["bad"], plot["end"]) == ("below", None)


@pytest.mark.parametrize(
    ("stream", "name"),
    [("../../etc/passwd", "etc_passwd"), ("/", "stream"), ("a\nb<script>", "a_b_script_"), ("x" * 500, "x" * 100)],
)
def test_a_stream_s_name_as_a_folder_leads_nowhere_else(stream, name):
    assert safe_name(stream) == name


def test_pictures_of_many_streams_that_break_at_once_come_one_after_the_other(folder):
    path = encode(folder / "mass.ts", black="gte(t,1.99)", seconds=5)
    pictures = []

    def take(incident_id, kind, content):
        if kind == "thumbnail":
            pictures.append(incident_id)

    specs = [StreamSpec(f"s{n}", str(path), {"video.black": {}}) for n in range(3 * PICTURES_PER_BATCH)]
    engine = EngineSettings(device="cpu", max_wait_seconds=0.05, evidence=EvidenceSettings(patient=True))
    outcomes = check(specs, engine, None, None, take)
    assert set(pictures) == {one.id for outcome in outcomes for one in outcome.incidents}
    assert len(pictures) == len(specs)


def test_a_stream_whose_packets_cannot_be_held_is_judged_all_the_same(monkeypatch, caplog, defects):
    def broken(self, packet):
        raise RuntimeError("bug")

    monkeypatch.setattr(PacketRing, "packet", broken)
    outcome, pieces = collected(defects, EvidenceSettings(patient=True))
    assert {one.detector for one in outcome.incidents} == {"video.black", "audio.silence"}
    assert outcome.error is None
    assert {kind for kind, _ in pieces} == {"thumbnail", "series"}
    assert caplog.text.count("a bug in holding its packets") == 1


def test_a_clip_waits_for_the_pictures_and_the_sound_that_come_after_its_end(folder, tmp_path):
    """Judged up to what has come, at every packet: those that are shown before it may still be on their way."""
    path = encode(folder / "tail.ts", seconds=10)
    clips = []
    recorder = Recorder(
        EvidenceSettings(post_roll_seconds=2.0, folder=tmp_path),
        lambda incident_id, kind, content: clips.append(content) if kind == "clip" else None, torch.device("cpu"), 1,
    )  # fmt: skip
    taking = recorder.open(0, "s", {"video.black": Watched("video", "black_ratio", 0.98, 0.98, False)})
    incident = Incident("id", "s", "video.black", Severity.CRITICAL, 3.0, 1.0)
    recorder.incident(0, incident, "opened")
    incident.end = 5.0
    with Source(str(path)) as source:
        taking.opened(source.open())
        for packet in source.packets():
            recorder.settle(0, packet.dts)
            taking.packet(packet)
    recorder.stop()
    times = [at for at, _ in lumas(clips[0])]
    assert max(b - a for a, b in itertools.pairwise(times)) == pytest.approx(0.04, abs=0.002)
    with av.open(str(clips[0])) as container:
        heard = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
    assert heard == pytest.approx(times[-1] + 0.04, abs=0.06)
