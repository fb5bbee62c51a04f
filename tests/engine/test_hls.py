"""HLS below the demuxer: packets lost in a segment and at its border, encryption, and what is fetched."""

import secrets
import subprocess

import pytest
from media import ffmpeg_exe
from origin import Origin
from properties import given, settings, st

from engine.errors import SourceError
from engine.ingest.base import Border
from engine.ingest.causes import cause_of
from engine.ingest.hls import HlsFiles
from engine.ingest.local_files import LocalFiles
from engine.ingest.playlist import parse_master, parse_media
from engine.ingest.source import Source
from engine.ingest.url_policy import UrlPolicy
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec

TRANSPORT = {key: {} for key in ("stream.continuity", "stream.timestamps", "stream.decode_errors")}
MASTER = """#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English",LANGUAGE="en",DEFAULT=YES,URI="sound.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=200000,RESOLUTION=160x90,AUDIO="a"
gone.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=500000,RESOLUTION=320x180,CODECS="avc1.42c00d,mp4a.40.2",AUDIO="a"
list.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS="mp4a.40.2",AUDIO="a"
sound.m3u8
"""


def encode(folder, *options):
    """Eight seconds in segments of two."""
    subprocess.run(
        [ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=8", "-f", "lavfi",
         "-i", "sine=f=440:d=8", "-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-c:a", "aac", *options],
        check=True, timeout=60, cwd=folder,
    )  # fmt: skip


HLS = ("-f", "hls", "-hls_time", "2", "-hls_list_size", "0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("segments")
    encode(made, *HLS, "-hls_segment_filename", "s%d.ts", "list.m3u8")
    encode(made, "-vn", *HLS, "-hls_segment_filename", "a%d.ts", "sound.m3u8")
    encode(made, "-f", "segment", "-segment_time", "2", "-segment_list", "apart.m3u8", "apart%d.ts")
    (made / "key").write_bytes(secrets.token_bytes(16))
    (made / "info").write_text("secret.key\nkey\n")
    encode(made, *HLS, "-hls_key_info_file", "info", "-hls_segment_filename", "e%d.ts", "locked.m3u8")
    (made / "secret.key").write_bytes((made / "key").read_bytes())
    return made


def without_packets(data, begin, count, pid=0x100):
    """A transport stream that has lost packets of a PID, from the n-th of them on."""
    packets = [data[at : at + 188] for at in range(0, len(data), 188)]
    of_pid = [n for n, packet in enumerate(packets) if (packet[1] & 0x1F) << 8 | packet[2] == pid]
    lost = set(of_pid[begin : begin + count])
    return b"".join(packet for n, packet in enumerate(packets) if n not in lost)


def judged(url, detectors=TRANSPORT):
    (outcome,) = check([StreamSpec("s", str(url), detectors=detectors)], EngineSettings(device="cpu"))
    return [(i.detector, round(i.start, 1)) for i in outcome.incidents], outcome


@pytest.mark.parametrize("begin", [200, 0])
def test_packets_lost_in_a_segment_and_at_its_border_are_told(folder, begin):
    damaged = without_packets((folder / "s2.ts").read_bytes(), begin, 3)
    with Origin(folder, {"/s2.ts": lambda: (200, {}, damaged)}) as origin:
        incidents, outcome = judged(f"{origin.url}/list.m3u8", {"stream.continuity": {}})
        assert sorted(origin.asked) == ["/list.m3u8", "/s0.ts", "/s1.ts", "/s2.ts", "/s3.ts"]
    ((name, start),) = incidents
    assert name == "stream.continuity"
    # Media time begins with the sound, a few milliseconds before the picture.
    assert 4.0 <= start <= 5.0 if begin else start == pytest.approx(4.0, abs=0.05)
    assert "continuity of PID 256: 3 or more packets lost" in outcome.incidents[0].cause


@pytest.mark.parametrize("name", ["list.m3u8", "apart.m3u8"])
def test_segments_in_order_and_segments_counted_each_for_itself_are_no_fault(folder, name):
    with Origin(folder) as origin:
        incidents, outcome = judged(f"{origin.url}/{name}")
    assert incidents == []
    assert outcome.summary.frames_measured == 200


def test_a_segment_that_is_gone_is_a_gap_and_no_lost_packets(folder):
    with Origin(folder, {"/s1.ts": lambda: (404, {}, b"")}) as origin:
        incidents, _ = judged(f"{origin.url}/list.m3u8")
    assert incidents == [("stream.timestamps", 2.0)]


@pytest.mark.parametrize("how", ["http", "file"])
def test_encrypted_segments_are_decrypted_and_their_packets_watched(folder, how):
    damaged = without_packets((folder / "e1.ts").read_bytes(), 0, 0)
    assert damaged[:1] != b"G"
    with Origin(folder) as origin:
        incidents, outcome = judged(f"{origin.url}/locked.m3u8" if how == "http" else folder / "locked.m3u8")
        assert origin.asked.count("/secret.key") == (how == "http")
    assert incidents == []
    assert outcome.summary.frames_measured == 200


def test_segments_without_a_named_vector_have_their_number(folder):
    text = (folder / "locked.m3u8").read_text()
    assert ",IV=0x" + "0" * 32 in text
    # ffmpeg names one vector for all: right for the first segment alone, whose number is that.
    alone = text.replace(",IV=0x" + "0" * 32, "")
    one = alone[: alone.index("e0.ts")] + "e0.ts\n#EXT-X-ENDLIST\n"
    (folder / "one.m3u8").write_text(one)
    (folder / "wrong.m3u8").write_text(one.replace("SEQUENCE:0", "SEQUENCE:7"))
    incidents, outcome = judged(folder / "one.m3u8")
    assert incidents == []
    assert outcome.summary.frames_measured == 50
    heads = []
    with Source(str(folder / "one.m3u8")) as right, Source(str(folder / "wrong.m3u8")) as wrong:
        for source in (right, wrong):
            source.open()
            raw = source.raw_bytes()
            assert raw is not None
            heads.append(raw.read_until(188).data)
    assert [a ^ b for a, b in zip(*heads, strict=True)] == [7 if n == 15 else 0 for n in range(188)]


@pytest.mark.parametrize(
    ("answer", "cause"),
    [((403, {}, b""), "http_403"), ((200, {}, b"a page that asks for a login"), "no_segments")],
    ids=["forbidden", "no_key"],
)
def test_a_key_that_cannot_be_had_is_told(folder, answer, cause):
    with (
        Origin(folder, {"/secret.key": lambda: answer}) as origin,
        pytest.raises(SourceError, match="none of the playlist's segments") as told,
    ):
        Source(f"{origin.url}/locked.m3u8").open()
    assert cause_of(told.value) == cause


@pytest.mark.parametrize("uri", ["file:///etc/hostname", "/etc/hostname.key", "data:text/plain;base64,AAAA", "key"])
def test_a_key_is_never_a_file_of_this_machine(folder, uri):
    text = (folder / "locked.m3u8").read_text().replace("secret.key", uri)
    with Origin(folder, {"/turned.m3u8": lambda: (200, {}, text.encode())}) as origin:
        if uri == "key":  # relative: it is the server's
            with Source(f"{origin.url}/turned.m3u8") as source:
                assert source.open().video is not None
            return
        with pytest.raises(SourceError):
            Source(f"{origin.url}/turned.m3u8").open()
        # A path is the server's own, and there is none.
        asked = {path for path in origin.asked if path.startswith("/etc")}
        assert asked == ({"/etc/hostname.key"} if uri.startswith("/") else set())


def test_media_with_a_drm_is_refused_by_name(folder):
    text = (folder / "locked.m3u8").read_text().replace("AES-128", "SAMPLE-AES").replace("secret.key", "skd://asset")
    text = text.replace(",IV", ',KEYFORMAT="com.apple.streamingkeydelivery",IV')
    with (
        Origin(folder, {"/drm.m3u8": lambda: (200, {}, text.encode())}) as origin,
        pytest.raises(SourceError, match="its media is encrypted") as told,
    ):
        Source(f"{origin.url}/drm.m3u8").open()
    assert cause_of(told.value) == "unauthorized"


def test_of_a_master_playlist_only_what_is_chosen_is_fetched(folder):
    with Origin(folder, {"/master.m3u8": lambda: (200, {}, MASTER.encode())}) as origin:
        with Source(f"{origin.url}/master.m3u8") as source:
            info = source.open()
            assert info.video is not None
            assert (info.video.width, info.audio is not None) == (320, True)
            assert source.renditions == ("180", "90")
            assert sum(packet.track == "video" for packet in source.packets()) == 200
        assert "/gone.m3u8" not in origin.asked
        assert len(set(origin.asked)) == len(origin.asked)
        # What is off the air gives way to the next best.
        with Source(f"{origin.url}/master.m3u8", rendition="worst") as source:
            assert source.open().video is not None
            assert "not found (HTTP 404)" in source.problems


def test_segments_come_over_one_connection_that_may_be_closed_in_between(folder):
    with Origin(folder) as origin, Source(f"{origin.url}/locked.m3u8") as source:
        source.open()
        assert sum(packet.track == "video" for packet in source.packets()) == 200
        assert (len(origin.asked), origin.connections) == (6, 1)
    with Origin(folder) as origin, Source(f"{origin.url}/locked.m3u8") as source:
        origin.closes = True
        source.open()
        assert sum(packet.track == "video" for packet in source.packets()) == 200
        assert (len(origin.asked), origin.connections) == (6, 6)


def test_a_redirected_playlist_names_what_lies_beside_its_target(folder):
    moved = {"/live/now.m3u8": lambda: (302, {"Location": "/list.m3u8"}, b"")}
    with Origin(folder, moved) as origin, Source(f"{origin.url}/live/now.m3u8") as source:
        source.open()
        assert sum(packet.track == "video" for packet in source.packets()) == 200
        assert "/s0.ts" in origin.asked


# -- playlists alone


@settings(deadline=None, max_examples=30)
@given(
    breaks=st.sets(st.integers(1, 30), max_size=6),
    window=st.integers(1, 6),
    counted=st.booleans(),
    lag=st.integers(0, 5),
)
def test_in_a_sliding_window_each_announced_break_is_found_where_it_lies(breaks, window, counted, lag, folder):
    """Segments 0 to 30, of which the playlist shows `window`; the player is `lag` behind the newest."""
    lag = min(lag, window - 1)
    playlist = folder / "sliding.m3u8"
    hls = HlsFiles("s", UrlPolicy(), LocalFiles("s"))

    def show(newest):
        first = max(0, newest - window + 1)
        lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
        if counted:
            lines.append(f"#EXT-X-DISCONTINUITY-SEQUENCE:{sum(n < first for n in breaks)}")
        for n in range(first, newest + 1):
            lines += ["#EXT-X-DISCONTINUITY"] * (n in breaks) + ["#EXTINF:2,", f"s{n % 4}.ts"]
        playlist.write_text("\n".join(lines) + "\n")

    show(lag)
    hls.open(str(playlist), "best")
    found = []
    segments = hls.segments(type("Track", (), {"metadata": {}}))
    for n in range(31 - lag):
        show(n + lag)
        hls(hls.address, 0, {})
        opened = hls(f"http://playlist.invalid/0/n{n}.ts", 0, {})
        while opened.read(1 << 20):
            pass
        opened.close()
        border = Border.NONE
        while (piece := segments.read_until(None)) is not None:
            border = max(border, piece.border)
        if n and border == Border.ANEW:
            found.append(n)
    assert set(found) == {n for n in breaks if n < 31 - lag}


def test_byte_ranges_keys_and_maps_are_read(folder):
    text = """#EXTM3U
#EXT-X-MEDIA-SEQUENCE:41
#EXT-X-DISCONTINUITY-SEQUENCE:3
#EXT-X-MAP:URI="init.mp4",BYTERANGE="700@20"
#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://a",KEYFORMAT="com.apple.streamingkeydelivery"
#EXT-X-KEY:METHOD=AES-128,URI="k?a=1,b",IV=0X1f
#EXTINF:2,
#EXT-X-BYTERANGE:100@50
whole.mp4
#EXT-X-DISCONTINUITY
#EXTINF:2,
#EXT-X-BYTERANGE:60
whole.mp4
#EXT-X-KEY:METHOD=NONE
#EXTINF:2,
http://other/c.mp4
"""
    playlist = parse_media(text, "http://h/live/x.m3u8")
    first, second, third = playlist.segments
    assert [one.number for one in playlist.segments] == [41, 42, 43]
    assert (first.url, first.span, second.span, third.span) == ("http://h/live/whole.mp4", (50, 150), (150, 210), None)
    assert first.key is not None
    assert (first.key.method, first.key.url) == ("AES-128", "http://h/live/k?a=1,b")
    assert first.key.iv == bytes(15) + b"\x1f"
    assert (first.anew, second.anew, third.anew) == (False, True, False)
    assert third.key is None
    assert third.url == "http://other/c.mp4"
    assert first.initial is not None
    assert (first.initial.url, first.initial.span) == ("http://h/live/init.mp4", (20, 720))
    told = playlist.told(playlist.segments, lambda s: f"our{s.number}", lambda i: "ourmap", lambda k: "", ended=True)
    assert "#EXT-X-BYTERANGE" not in told
    assert "skd:" not in told
    assert [line for line in told.splitlines() if line.startswith("our")] == ["our41", "our42", "our43"]


def test_a_variant_without_pictures_says_so_by_its_codecs():
    variants = parse_master(MASTER, "http://h/m.m3u8").variants
    assert [one.may_have_pictures for one in variants] == [True, True, False]
    assert [one.rendition.height for one in variants] == [90, 180, 0]
