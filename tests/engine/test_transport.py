"""Transport defects planted at known times come out with their times, and clean streams have none."""

import itertools
import re
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import av
import pytest
from media import ffmpeg_exe, media_dir
from ogg_pages import later, rewritten

from engine.detectors import detector
from engine.ingest.formats import Formats
from engine.ingest.source import Source
from engine.ingest.timeline import Timeline, TrackOffset
from engine.ingest.transport import TransportWatch
from engine.pipeline import check
from engine.profiles import BUILT_IN
from engine.spec import EngineSettings, StreamSpec
from engine.verdicts import Severity
from models.synthesis import transport as plant

DETECTORS = (
    "continuity", "timestamps", "format_change", "gop", "bitrate", "av_offset", "captions_missing", "scte35",
    "scte35_missing",
)  # fmt: skip
PICTURE = 0.04


def incidents(path, **given):
    """What the transport's detectors say, in the order of their starts."""
    chosen = {f"stream.{name}": given.get(name, {}) for name in DETECTORS}
    [outcome] = check([StreamSpec("clip", str(path), chosen)], EngineSettings(device="cpu"))
    assert outcome.error is None
    return outcome.incidents


def encode(path, *options, seconds=12, video="testsrc2=s=320x180:r=25"):
    """A clip with pictures and a tone, as the ffmpeg program makes it."""
    command = [ffmpeg_exe(), "-y", "-v", "error", "-f", "lavfi", "-i", f"{video}:d={seconds}"]
    command += ["-f", "lavfi", "-i", f"sine=440:d={seconds}:r=48000"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    subprocess.run([*command, *options, str(path)], check=True, timeout=60)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("transport")


@pytest.fixture(scope="module")
def base(folder):
    """Twelve seconds of a transport stream at constant rate."""
    path = encode(folder / "base.ts", "-b:v", "800k", "-muxrate", "2000k")
    assert incidents(path) == []
    return path.read_bytes()


def planted_in(tmp_path, made, **given):
    data, planted = made
    path = tmp_path / "planted.ts"
    path.write_bytes(data)
    return planted, [i for i in incidents(path, **given) if i.detector == planted.detector]


@pytest.mark.parametrize(
    ("means", "cause"),
    [
        (lambda data: plant.drop_packets(data, 5.0), "continuity of PID 256: 1 or more packets lost"),
        (lambda data: plant.repeat_packet(data, 5.0), "continuity of PID 256: a packet came more than twice"),
        (lambda data: plant.mark_damaged(data, 5.0), "packet marked as damaged (transport_error_indicator)"),
        (lambda data: plant.lose_sync(data, 5.0), "sync lost"),
    ],
)
def test_packets_that_are_lost_repeated_or_spoilt_are_found_at_their_picture(tmp_path, base, means, cause):
    planted, [incident] = planted_in(tmp_path, means(base))
    assert incident.start == pytest.approx(planted.start, abs=1e-6)
    assert incident.end == pytest.approx(planted.start, abs=PICTURE)
    assert (incident.cause, incident.severity) == (cause, Severity.WARNING)


def test_bit_errors_make_one_incident_and_the_same_on_every_run(tmp_path, base):
    made = plant.flip_bits(base, 5.0, 7.0, 1e-3, seed=4)
    planted, [incident] = planted_in(tmp_path, made)
    assert incident.start == pytest.approx(planted.start, abs=0.2)
    assert incident.end == pytest.approx(planted.end, abs=0.2)
    _, [again] = planted_in(tmp_path, made)
    assert (again.start, again.end, again.score, again.cause) == (
        incident.start, incident.end, incident.score, incident.cause,
    )  # fmt: skip


@pytest.mark.parametrize("table", ["pat", "pmt"])
def test_a_missing_table_is_told_after_half_a_second(tmp_path, base, table):
    planted, [incident] = planted_in(tmp_path, plant.remove_table(base, 5.0, 7.0, table))
    # Tables come every 0.1 s, and the clock that measures their absence every 0.02 s.
    assert incident.start == pytest.approx(planted.start + 0.5, abs=0.15)
    assert incident.end == pytest.approx(planted.end, abs=0.5)
    assert incident.cause == f"no {table.upper()} for 0.5 s"


def test_a_jittering_clock(tmp_path, base):
    planted, [incident] = planted_in(tmp_path, plant.jitter_pcr(base, 5.0, 6.0, 1e-5))
    assert incident.start == pytest.approx(planted.start, abs=PICTURE)
    assert incident.end == pytest.approx(planted.end, abs=PICTURE)
    assert "us from its place" in incident.cause
    _, nothing = planted_in(tmp_path, plant.jitter_pcr(base, 5.0, 6.0, 1e-5), continuity={"pcr_jitter": "50us"})
    assert nothing == []


@pytest.mark.parametrize(
    ("means", "cause", "where"),
    [
        # ETSI TR 101 290, 2.3.a and 2.3.b: repetition and discontinuity; 2.4: accuracy; 2.2: checksums.
        (lambda data: plant.pause_pcr(data, 5.0, 5.8), "PCR jumps by 0.820 s", "end"),
        (lambda data: plant.jump_pcr(data, 5.0, 2.0), "PCR jumps by 2.002 s", "start"),
        (lambda data: plant.jump_pcr(data, 5.0, -2.0), "PCR jumps by -1.998 s", "start"),
        (lambda data: plant.jump_pcr(data, 5.0, 0.001), "PCR is 1000.0 us from its place", "start"),
        (lambda data: plant.spoil_table(data, 5.0, "pat"), "table on PID 0 fails its checksum", "start"),
        (lambda data: plant.spoil_table(data, 5.0, "pmt"), "table on PID 4096 fails its checksum", "start"),
        # 2.6
        (lambda data: plant.scramble(data, 5.0, 8.0), "scrambled packets without a CAT", "start"),
        # 2.5
        (lambda data: plant.strip_stamps(data, 5.0, 6.5), "video without timestamps for 0.7 s", "later"),
    ],
)
def test_each_error_of_the_report_is_named_where_it_is(tmp_path, base, means, cause, where):
    planted, [incident] = planted_in(tmp_path, means(base))
    assert incident.cause == cause
    expected = {"start": planted.start, "end": planted.end, "later": planted.start + 0.7}[where]
    assert incident.start == pytest.approx(expected, abs=PICTURE + 1e-3)


def test_a_broadcast_chain_wants_a_pcr_every_tenth_of_a_second(tmp_path, base):
    made = plant.pause_pcr(base, 5.0, 5.3)
    assert planted_in(tmp_path, made)[1] == []
    _, [incident] = planted_in(tmp_path, made, continuity=BUILT_IN["broadcast"]["stream.continuity"])
    assert incident.cause == "PCR jumps by 0.300 s"


@pytest.mark.parametrize("seconds", [3.0, -3.0, 1000.0])
def test_a_jump_of_the_timestamps(tmp_path, base, seconds):
    planted, [incident] = planted_in(tmp_path, plant.jump_timestamps(base, 5.0, seconds))
    # The sound behind the place of the jump is some 0.25 s older than the pictures there: the multiplexer's delay.
    assert incident.start == pytest.approx(planted.start, abs=0.3)
    # A gap that stays in the timeline ends where the pictures go on.
    went_on = planted.start + (seconds if seconds == 3.0 else 0.0)
    assert incident.end == pytest.approx(went_on, abs=0.3)
    assert f"{seconds:+.3f}" in incident.cause or "skip 3.000 s" in incident.cause


def test_a_wrap_of_the_33_bit_clock_is_no_defect(folder):
    wrap = 2**33 / 90_000
    path = encode(folder / "wrap.ts", "-muxrate", "2000k", "-b:v", "800k", "-output_ts_offset", f"{wrap - 7:.3f}")
    with av.open(str(path)) as container:
        [first] = [p.pts for p in [next(container.demux(video=0))]]
    assert first % 2**33 > 2**33 - 10 * 90_000
    assert incidents(path) == []


def test_sound_that_is_stamped_by_another_clock_drifts(folder, base, tmp_path):
    """Ten in a thousand too fast: after 9 s the timestamps are 90 ms ahead of the sound."""
    given = tmp_path / "base.ts"
    given.write_bytes(base)
    path = tmp_path / "drift.ts"
    with av.open(str(given)) as source, av.open(str(path), "w", format="mpegts") as made:
        tracks = {s.index: made.add_stream_from_template(s) for s in source.streams}
        sound = source.streams.audio[0]
        first = sound.start_time
        for packet in source.demux():
            if packet.size:
                if packet.stream_index == sound.index:
                    packet.pts = packet.dts = round(first + (packet.pts - first) * 1.01)
                packet.stream = tracks[packet.stream_index]
                made.mux(packet)
    [incident] = incidents(path)
    assert incident.detector == "stream.timestamps"
    assert incident.start == pytest.approx(9.0, abs=0.3)
    assert incident.cause.startswith("the sound's clock drifts: +0.09")


def sound_packets(seconds, step, stamp):
    """Packets of 1024 samples at 48 kHz, stamped by `stamp(seconds of sound before it)`."""
    for n in range(int(seconds / step)):
        at = stamp(n * step)
        yield SimpleNamespace(track="audio", pts=at, dts=at)


@pytest.mark.parametrize(
    ("stamp", "hours"),
    [
        (lambda t: t, None),
        (lambda t: round(t, 3), None),  # millisecond containers
        (lambda t: t * (1 + 20e-6), 1.25),  # 20 ppm: 90 ms in 75 minutes
        (lambda t: t * (1 - 20e-6), 1.25),
        (lambda t: t + (0.5 if t > 1000 else 0.0), None),  # a step is no drift
    ],
)
def test_slow_drift_shows_within_hours_and_rounding_never(stamp, hours):
    told = []
    timeline = Timeline(lambda at, cause, until: told.append((at, cause)), 1.0, 0.09, 0.1, {})
    timeline.sound_seconds = 1024 / 48_000
    for packet in sound_packets(2 * 3600, 1024 / 48_000, stamp):
        timeline.packet(packet, 0.021, ())
    assert [round(at / 3600, 2) for at, _ in told] == ([] if hours is None else [hours])


def test_a_step_back_and_timestamps_that_stop():
    told = []
    timeline = Timeline(lambda at, cause, until: told.append((round(at, 3), cause)), 1.0, 0.09, 0.1, {})
    times = [0.0, 0.04, 0.08, 0.06, 0.10, 0.14] + [None] * 25
    for at in times:
        timeline.packet(SimpleNamespace(track="video", pts=at, dts=at), 0.04, ())
    assert told[0] == (0.08, "video timestamps go back by 0.020 s")
    # ISO/IEC 13818-1 allows 0.7 s without: 0.14 + 0.7 is passed at the 17th packet, and told from then on.
    assert told[1] == (0.86, "video without timestamps for 0.7 s")


def ogg_page_stamped(path, target, samples):
    """A copy of an Ogg file of one track in which all pages from the middle on end so many samples later."""
    return rewritten(path, target, lambda n, count, page: later(page, samples) if n >= count // 2 else page)


@pytest.mark.parametrize(
    ("samples", "told"),
    [(-1_500, []), (-24_000, ["audio timestamps jump by -0.479 s"]), (96_000, ["audio timestamps skip 2.000 s"])],
)
def test_the_times_that_libav_guesses_between_the_stamps_of_ogg_pages_are_no_fault(folder, samples, told):
    whole = folder / "whole.ogg"
    encode(whole, "-vn", "-c:a", "libvorbis", seconds=6)
    path = ogg_page_stamped(whole, folder / "stamped.ogg", samples)
    with av.open(str(path)) as file:
        times = [float(p.pts * p.time_base) for p in file.demux(audio=0) if p.pts is not None]
    steps = [b - a for a, b in itertools.pairwise(times)]
    assert min(steps) < -0.005 or max(steps) > 1.9, "the file does not have what is tried"
    assert [i.cause for i in incidents(path) if i.detector == "stream.timestamps"] == told


def test_pictures_out_of_order_in_a_container_without_decoding_times_do_not_go_back(folder):
    # Matroska has presentation times only; where pictures are left out libav knows no decoding times at first.
    path = folder / "variable.mkv"
    encode(
        path, "-vf", "select='not(eq(mod(n\\,7)\\,3))'", "-fps_mode", "vfr", "-c:v", "libx264", "-bf", "3", seconds=3
    )
    assert [i.cause for i in incidents(path) if i.detector == "stream.timestamps"] == []


def test_pictures_that_come_when_something_changes_skip_nothing_from_the_first_on():
    told = []
    timeline = Timeline(lambda at, cause, until: told.append((round(at, 3), cause)), 0.5, 0.09, 0.1, {})
    for at in (0.0, 0.733, 1.133, 1.6, 2.067, 2.467, 7.467):
        timeline.packet(SimpleNamespace(track="video", pts=at, dts=at), 0.067, ())
    assert told == [(2.534, "video timestamps skip 4.933 s")]


def without(source, path, left_out):
    """The same packets without those of which (track, media second) is to be left out."""
    with av.open(str(source)) as whole, av.open(str(path), "w") as rest:
        streams = {stream.index: rest.add_stream_from_template(stream) for stream in whole.streams}
        for packet in whole.demux():
            if packet.dts is not None and not left_out(packet.stream.type, float(packet.dts * packet.time_base)):
                packet.stream = streams[packet.stream_index]
                rest.mux(packet)
    return path


@pytest.fixture(scope="module")
def whole(folder):
    """Four seconds of moving pictures with a tone."""
    return encode(folder / "whole.mp4", seconds=4)


@pytest.mark.parametrize("suffix", ["ts", "mp4", "mkv"])
def test_sound_that_is_left_out_is_told_by_every_container(folder, whole, suffix):
    """MP4 gives the packet before the hole a duration that spans it."""
    path = without(whole, folder / f"hole.{suffix}", lambda kind, at: kind == "audio" and 2.0 <= at < 2.3)
    [incident] = incidents(path)
    assert incident.detector == "stream.timestamps"
    assert (incident.start, incident.end) == pytest.approx((2.0, 2.3), abs=0.06)
    assert re.fullmatch(r"0\.(29|30|31)\d s of sound are left out", incident.cause)


@pytest.mark.parametrize("suffix", ["ts", "mp4", "mkv"])
def test_a_hole_in_sound_and_pictures_is_no_freeze(folder, suffix):
    # Groups of a second; decoding is two pictures ahead.
    encode(folder / "groups.mp4", "-bf", "2", seconds=8)
    ahead = {"video": 2 * PICTURE, "audio": 0.0}
    path = without(folder / "groups.mp4", folder / f"both.{suffix}", lambda kind, at: 2.0 <= at + ahead[kind] < 5.0)
    [outcome] = check([StreamSpec("clip", str(path))], EngineSettings(device="cpu"))
    [incident] = [i for i in outcome.incidents if i.start > 1.0]
    assert incident.detector == "stream.timestamps"
    assert (incident.start, incident.end) == pytest.approx((2.0, 5.0), abs=0.06)


def test_sound_that_ends_where_a_picture_begins_tells_of_a_hole_only_where_the_picture_stands(whole):
    parameters = {"stream.timestamps": detector("stream.timestamps").settle({})}
    with Source(str(whole), stream="clip") as source:
        watch = TransportWatch(source.open(), parameters, None, realtime=False, begin=0.0)
        heard = 0
        for packet in source.packets():
            watch.packet(packet, ())
            if packet.track == "audio" and packet.pts is not None:
                watch.sound("mono", 48_000, packet.pts)
                until = packet.pts + 1024 / 48_000
                assert not watch.told_hole(until, until + PICTURE)
                heard += 1
        assert heard > 100
        assert watch.told_hole(until, until + 3.0)


def test_sound_that_goes_with_a_lost_packet_is_told_as_lost_alone(base, tmp_path):
    """The packet that begins a piece of sound takes all of it along: a tenth of a second and more."""
    packets = [base[at : at + 188] for at in range(0, len(base), 188)]
    begins = [n for n, p in enumerate(packets) if (p[1] & 31) << 8 | p[2] == 257 and p[1] & 0x40]
    path = tmp_path / "lost.ts"
    path.write_bytes(b"".join(p for n, p in enumerate(packets) if n != begins[len(begins) // 2]))
    [incident] = incidents(path)
    assert incident.detector == "stream.continuity"
    with av.open(str(path)) as file:
        times = [float(p.pts * p.time_base) for p in file.demux(audio=0) if p.pts is not None]
    assert max(b - a for a, b in itertools.pairwise(times)) > 0.1


def test_a_coder_that_leaves_silence_out_loses_none(folder):
    encode(folder / "whole.mkv", "-c:a", "libopus", seconds=4)
    path = without(folder / "whole.mkv", folder / "opus.mkv", lambda kind, at: kind == "audio" and 2.0 <= at < 2.3)
    assert incidents(path) == []


def test_streams_without_times_lose_none():
    told = []
    timeline = Timeline(lambda *what: told.append(what), 1.0, 0.09, 0.1, {})
    for _ in range(100):
        timeline.packet(SimpleNamespace(track="video", pts=None, dts=None), 0.04, ())
    assert told == []


@pytest.mark.parametrize("suffix", ["ts", "mp4", "mkv"])
def test_sound_that_starts_late_is_apart_until_it_starts(folder, base, suffix):
    planted = plant.late_sound(folder / "base.ts", folder / f"late.{suffix}", 3.0)
    [incident] = incidents(folder / f"late.{suffix}")
    assert incident.detector == planted.detector
    assert incident.start == pytest.approx(planted.start, abs=0.1)
    assert incident.end == pytest.approx(planted.end, abs=0.1)
    assert incident.cause == f"the sound starts {incident.score:.3f} s late"


def test_tracks_that_lie_apart_in_the_stream_are_measured_where_they_are_nearest():
    offset = TrackOffset(1.0, {})
    for n in range(50):
        for track, at in (("video", n * 0.04), ("audio", n * 0.04 - 2.0)):
            offset.packet(SimpleNamespace(track=track, pts=n * 0.04, dts=at, payload=SimpleNamespace(is_discard=False)))
    [row] = offset.rows(0.0, 2.0)
    assert row.values["av_offset_seconds"] == pytest.approx(2.0)
    assert row.causes["av_offset_seconds"] == "the sound lies 2.000 s behind in the stream"


def test_a_changed_picture_size_opens_and_closes_at_once(folder):
    path = folder / "size.ts"
    planted = plant.changed_size(path, 3.0, 6.0, ((320, 180), (160, 96)))
    [incident] = incidents(path)
    assert incident.detector == planted.detector
    assert (incident.start, incident.end) == (pytest.approx(3.0, abs=1e-3), pytest.approx(3.0, abs=1e-3))
    assert incident.cause == "320x180 -> 160x96"


def test_a_picture_size_that_brings_another_rate_is_one_change():
    told = []
    formats = Formats(lambda at, what: told.append((at, what)), 0.02)
    for index in range(400):
        new, at = index >= 200, index / 25 if index < 200 else 8 + (index - 200) / 50
        formats.picture(SimpleNamespace(
            pts=at, width=640 if new else 320, height=180, chroma_width=320 if new else 160, chroma_height=90,
            bit_depth=8, geometry=(new,),
        ))  # fmt: skip
    assert told == [(8.0, "320x180 -> 640x180")]


def test_a_changed_picture_rate_is_found_where_it_changed(folder):
    path = folder / "rate.ts"
    plant.changed_rate(path, 8.0, 18.0, (50, 25))
    [incident] = incidents(path)
    assert incident.detector == "stream.format_change"
    assert incident.start == pytest.approx(8.0, abs=PICTURE)
    assert incident.cause == "50 -> 25 pictures/s"


def test_changed_sound_and_pixels_are_told_in_words(folder, tmp_path):
    def coded(name, rate, layout, pixels):
        path = tmp_path / name
        command = [ffmpeg_exe(), "-y", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x96:r=25:d=3", "-f", "lavfi"]
        command += ["-i", f"anoisesrc=d=3:r={rate}:a=0.1", "-ac", str(layout), "-pix_fmt", pixels, "-c:v", "libx264"]
        command += ["-preset", "ultrafast", "-c:a", "mp2", "-f", "mpegts"]
        offset = "0" if name == "a.ts" else "3"
        subprocess.run([*command, "-output_ts_offset", offset, str(path)], check=True, timeout=60)
        return path.read_bytes()

    joined = tmp_path / "joined.ts"
    joined.write_bytes(coded("a.ts", 48_000, 2, "yuv420p") + coded("b.ts", 44_100, 1, "yuv444p"))
    found = [i for i in incidents(joined) if i.detector == "stream.format_change"]
    causes = {cause for i in found for cause in i.cause.split("; ")}
    assert causes == {"stereo -> mono", "48000 Hz -> 44100 Hz", "4:2:0 8 bit -> 4:4:4 8 bit"}
    assert all(i.start == pytest.approx(3.0, abs=0.15) for i in found)


def test_key_frames_that_stop_coming(folder):
    path = folder / "keys.ts"
    planted = plant.starved_keys(path, 3.0, 15.0, 18.0)
    [incident] = incidents(path)
    assert (incident.detector, incident.start, incident.end) == (
        "stream.gop", pytest.approx(planted.start, abs=1e-3), pytest.approx(planted.end, abs=1e-3),
    )  # fmt: skip
    assert incident.score == pytest.approx(12.0, abs=1e-3)


def test_long_distances_in_a_file_with_an_index_are_nobodys_trouble(folder, tmp_path):
    plant.starved_keys(folder / "keys.ts", 3.0, 15.0, 18.0)
    path = tmp_path / "keys.mp4"
    subprocess.run(
        [ffmpeg_exe(), "-y", "-v", "error", "-i", str(folder / "keys.ts"), "-c", "copy", str(path)],
        check=True, timeout=60,
    )  # fmt: skip
    assert incidents(path) == []


def test_a_starved_stream_is_below_its_lowest_bitrate(folder):
    path = folder / "starved.ts"
    planted = plant.starved(path, 4.0, 12.0, 16.0)
    assert planted.strength > 4
    least = planted.parameters["kbps"]
    [incident] = incidents(path, bitrate={"minimum": 2 * least}, gop={"duration": 60})
    assert incident.start == pytest.approx(planted.start, abs=1.0)
    assert incident.end == pytest.approx(planted.end, abs=1.0)
    assert incident.cause.endswith(f"kbit/s, below {2 * least:g}")
    found = [
        i for i in incidents(path, bitrate={"maximum": 3 * least, "duration": 2}) if i.detector == planted.detector
    ]
    assert [i.start for i in found] == [pytest.approx(0.0, abs=1.0), pytest.approx(planted.end, abs=1.0)]
    assert found[0].end == pytest.approx(planted.start, abs=1.0)
    assert found[0].cause.endswith(f"kbit/s, above {3 * least:g}")


@pytest.mark.parametrize("suffix", ["ts", "mp4"])
def test_captions_that_stop_and_come_back(tmp_path, suffix):
    made = tmp_path / "made.ts"
    planted = plant.lost_captions(made, 3.0, 9.0, 12.0)
    path = tmp_path / f"captions.{suffix}"
    if suffix != "ts":
        command = [ffmpeg_exe(), "-y", "-v", "error", "-i", str(made), "-c", "copy", str(path)]
        subprocess.run(command, check=True, timeout=60)
    else:
        made.rename(path)
    [incident] = incidents(path, captions_missing={"duration": 4})
    assert incident.detector == planted.detector
    # They are gone from the last picture that had some.
    assert incident.start == pytest.approx(planted.start, abs=PICTURE + 1e-3)
    assert incident.end == pytest.approx(planted.end, abs=1e-3)


def test_ffmpegs_own_decoder_sees_the_planted_captions(tmp_path):
    made = tmp_path / "made.ts"
    plant.lost_captions(made, 1.0, 2.0, 3.0)
    with av.open(str(made)) as container:
        with_captions = [
            float(f.pts * f.time_base) for f in container.decode(video=0)
            if any(d.type.name == "A53_CC" for d in f.side_data)
        ]  # fmt: skip
    assert len(with_captions) == 50


def test_splice_markers_are_annotations_at_their_time(tmp_path, base):
    data, planted = plant.add_splices(base, [3.0, 6.0])
    path = tmp_path / "splices.ts"
    path.write_bytes(data)
    found = incidents(path, scte35_missing={"duration": 4})
    markers = [i for i in found if i.detector == "stream.scte35"]
    assert [i.start for i in markers] == [pytest.approx(p.start, abs=PICTURE + 1e-3) for p in planted]
    assert [i.cause for i in markers] == [f"splice_insert out, event {n}, immediate" for n in (1, 2)]
    assert {i.severity for i in markers} == {Severity.INFO}
    [missing] = [i for i in found if i not in markers]
    assert (missing.detector, missing.start) == ("stream.scte35_missing", pytest.approx(6.0, abs=0.1))


@pytest.fixture
def sender():
    """Serves bytes to the first who connects, then hangs up; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:

        def serve(data, head):
            connection, _ = server.accept()
            with connection:
                if head:
                    connection.recv(4096)
                connection.sendall(head + data)

        def start(data, head=b""):
            sent.append(pool.submit(serve, data, head))
            return server.getsockname()[1]

        sent = []
        yield start
        for one in sent:
            one.result(timeout=10)


def test_a_network_stream_is_watched_below_the_demuxer_too(base, tmp_path, sender):
    data, _ = plant.drop_packets(base, 5.0)
    path = tmp_path / "planted.ts"
    path.write_bytes(data)
    [from_file] = incidents(path)
    over_http = sender(data, b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n")
    for url in (f"http://127.0.0.1:{over_http}/live.ts", f"tcp://127.0.0.1:{sender(data)}"):
        [from_network] = incidents(url)
        assert (from_network.detector, from_network.start, from_network.cause) == (
            from_file.detector, from_file.start, from_file.cause,
        )  # fmt: skip


def test_another_format_over_the_network_plays_as_before(tmp_path, sender):
    path = encode(tmp_path / "clip.mkv", seconds=2)
    assert incidents(f"tcp://127.0.0.1:{sender(path.read_bytes())}") == []


def test_datagrams_are_read_as_they_come_and_their_end_is_no_hang(base):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    source = Source(f"udp://127.0.0.1:{port}", read_timeout_seconds=1.0)
    done = threading.Event()

    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for at in itertools.cycle(range(0, len(base) - 1316, 1316)):
                out.sendto(base[at : at + 1316], ("127.0.0.1", port))
                if done.wait(0.0005):
                    return

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send)
        try:
            info = source.open()
            raw = source.raw_bytes()
            packets = source.packets()
            seen = [next(packets) for _ in range(100)]
        finally:
            done.set()
        sending.result(timeout=10)
        rest = list(packets)
    assert info.live
    assert info.container == "mpegts"
    assert seen
    assert rest
    assert source.error is not None
    assert "no data for 1 s" in source.error.why
    assert raw.read_until(None).data.count(b"\x47") > 1000
    source.close()


def test_what_nobody_enabled_is_not_told(tmp_path, base):
    data, _ = plant.drop_packets(base, 5.0)
    path = tmp_path / "planted.ts"
    path.write_bytes(data)
    chosen = {"stream.gop": {}}
    [outcome] = check([StreamSpec("clip", str(path), chosen)], EngineSettings(device="cpu"))
    assert outcome.incidents == []


# What the manifest of the clips says of each: why it may have an incident.
DAMAGED = {
    # "lost HLS segment: 4.004 s PTS jump"; the segment's packets are missing too, and the counters tell.
    "shaka_hls-gap_2-4_6-8_720p59.94.ts": {"stream.timestamps", "stream.continuity"},
    # "DTS jumps back": two segments with the same timestamps and counters, joined; that the counters begin anew there
    # is not told again (docs/decisions/0100).
    "shaka_text-no-discontinuity_0-1_144p25.ts": {"stream.timestamps"},
    # "large PTS jump": two timelines, joined; that the PCR jumps too is not told again.
    "shaka_text-offset_69-73_360p24.ts": {"stream.timestamps"},
    # "resolution switches mid-stream".
    "vpf_test_res_change.h264": {"stream.format_change"},
    # "broken SPS": the size that it says changes; between both sizes 0.7 s are missing.
    "fate_brokensps.flv": {"stream.format_change", "stream.timestamps"},
}


def clips():
    folder = media_dir()
    found = sorted(folder.glob("*/*")) if folder else []
    kept = [p for p in found if p.parent.name in ("real_av", "known_answer", "broken")]
    return [pytest.param(p, id=p.name, marks=[] if p.suffix == ".ts" else pytest.mark.slow) for p in kept]


@pytest.mark.parametrize("clip", clips())
def test_clips_have_what_their_manifest_says(clip):
    chosen = {f"stream.{name}": {} for name in DETECTORS}
    [outcome] = check([StreamSpec(clip.name, str(clip), chosen)], EngineSettings(device="cpu"))
    assert {i.detector for i in outcome.incidents} == DAMAGED.get(clip.name, set())


def test_a_stream_that_is_opened_again_after_hours_tells_none_of_those_seconds_twice(base, tmp_path):
    path = tmp_path / "again.ts"
    path.write_bytes(base)
    parameters = {f"stream.{name}": detector(f"stream.{name}").settle() for name in DETECTORS}
    with Source(str(path)) as source:
        info = source.open(lambda: 36_000.5)
        watch = TransportWatch(info, parameters, source.raw_bytes(), realtime=True, begin=36_000.5)
        for packet in source.packets():
            watch.packet(packet, source.clock.found)
        watch.finish()
        rows = watch.rows(36_012.0, last=True)
        watch.close()
    assert rows
    assert min(row.start for row in rows) >= 36_000.0
    assert len(rows) < 100
