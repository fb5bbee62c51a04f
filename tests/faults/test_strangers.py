"""Whatever bytes strangers send, what reads them says what is wrong in an error of ours, or takes it."""

import contextlib
import json
import math
import socket
import struct
import tempfile
from pathlib import Path

from properties import example, given, settings, st

from engine.configured import load_config
from engine.errors import AvjuryError, ConfigError, SourceError
from engine.ingest.control import IngestSays
from engine.ingest.dash import parse_manifest
from engine.ingest.messages import UNREADABLE, EngineSays, head_of, unpack_packet, unpack_raw
from engine.ingest.playlist import parse_master, parse_media
from engine.ingest.url_policy import UrlPolicy, redact
from engine.notify.http import _retry_after
from engine.service.messages import SupervisorSays
from engine.service.sessions import Sessions
from engine.wire import Channel, ConnectionLost

PUBLIC = UrlPolicy(allow_files=False, allow_private=False)
LINES = st.sampled_from(
    ["#EXTM3U", "#EXTINF:4,", "#EXTINF:", "#EXTINF:nan,", "#EXT-X-TARGETDURATION:4", "#EXT-X-TARGETDURATION:-1",
     "#EXT-X-MEDIA-SEQUENCE:99999999999999999999", "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"", "#EXT-X-KEY:METHOD=", "a.ts",
     "#EXT-X-MAP:URI=\"i.mp4\",BYTERANGE=\"x@y\"", "#EXT-X-BYTERANGE:5@", "#EXT-X-DISCONTINUITY", "#EXT-X-ENDLIST",
     "#EXT-X-STREAM-INF:BANDWIDTH=x", "#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=0x0", "file:///etc/passwd", "//[", "]",
     "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"b\",URI=\"c\"", "http://127.0.0.1/x.ts", "\x00", "http://[::1"]
)  # fmt: skip
PLAYLISTS = st.lists(st.one_of(LINES, st.text(max_size=40)), max_size=20).map("\n".join)


@given(PLAYLISTS)
@example("#EXTM3U\n#EXTINF:4,\nhttp://[::1\n")
def test_a_playlist_is_taken_or_refused(text):
    with contextlib.suppress(SourceError):
        UrlPolicy().check_playlist("http://192.0.2.1/a/index.m3u8", text, "s")


@given(PLAYLISTS)
@example("#EXTM3U\n#EXTINF:4,\nhttp://[::1\n")
@example("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:" + 5000 * "9" + "\n#EXTINF:4,\na.ts\n")
def test_what_reads_playlists_raises_nothing_else(text):
    for read in (parse_media, parse_master):
        with contextlib.suppress(AvjuryError):
            read(text, "http://192.0.2.1/a/index.m3u8")


XML = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.sampled_from(
            ["<MPD>", "</MPD>", "<Period>", "</Period>", "<AdaptationSet mimeType='video/mp4'>", "</AdaptationSet>",
             "<Representation id='1' bandwidth='x'>", "</Representation>",
             "<SegmentTemplate media='$Number%0999999d$'/>",
             "<SegmentTemplate media='$Time$' timescale='0' duration='1'/>", "<BaseURL>http://[::1</BaseURL>",
             "<SegmentTimeline><S t='0' d='1' r='999999999'/></SegmentTimeline>", "<MPD type='dynamic'>", "&x;",
             "<!DOCTYPE x [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"]
        ),
        max_size=14,
    ).map(lambda parts: "".join(parts).encode()),
)  # fmt: skip


@settings(deadline=None)
@given(XML)
@example(
    b"<MPD><Period><AdaptationSet mimeType='video/mp4'><Representation id='1' bandwidth='1'>"
    b"<SegmentTemplate media='$Number$' timescale='1' duration='1'/></Representation></AdaptationSet></Period></MPD>"
)
def test_a_manifest_is_read_or_refused(body):
    with contextlib.suppress(AvjuryError):
        parse_manifest(body, "http://192.0.2.1/a.mpd", "s", 1e9)


@given(st.one_of(st.none(), st.text(max_size=40), st.floats().map(str)))
@example("1e999")
@example("nan")
@example("Fri, 31 Feb 2099 25:61:61 GMT")
def test_how_long_a_receiver_wants_to_be_left_alone_is_a_time_or_nothing(value):
    seconds = _retry_after(value)
    assert seconds is None or (math.isfinite(seconds) and seconds >= 0)


@given(st.one_of(st.text(max_size=80), st.text(alphabet="htps:/[]@%.0123456789aZ?&=#\\", max_size=60)))
@example("http://[")
# What the fuzzer found: without the values of its query it looks like an address with a password.
@example("&3)=se?e&:\ufffdasync:t://::;\ufffdsrt://::;\ufffd=ite?e&:\ufffd@-=si")
@example("http://a:99999999/")
@example("rtsp://%00@[::1%25lo]:1/")
def test_an_address_is_refused_or_allowed(url):
    if "://" in url and any(letter.isalpha() for letter in url.partition("://")[2]):
        url = url.partition("://")[0] + "://192.0.2.1/" + url.partition("://")[2]  # no name is looked up
    with contextlib.suppress(SourceError):
        PUBLIC.check(url, "s")
    assert redact(redact(url)) == redact(url)


@settings(max_examples=60)
@given(st.binary(max_size=300), st.sampled_from([EngineSays, SupervisorSays, IngestSays]))
# What the fuzzer found: a name that is no text.
@example(b"\x11\x00\x00\x00\x01\x82\xa4type\xa5R\xa3pid\xa3pid\x01", IngestSays)
def test_frames_between_processes_are_read_or_end_the_connection(data, says):
    near, far = socket.socketpair()
    channel = Channel(near, says)
    try:
        far.sendall(data)
        far.close()
        for _ in range(3):
            list(channel.receive())
    except ConnectionLost:
        pass
    finally:
        channel.close()


PACKET_HEAD = struct.Struct("<BBqqqiidddqdI")


@given(st.binary(max_size=200))
# More bytes than there are, side data that is not there, and a clock without ticks.
@example(PACKET_HEAD.pack(5, 0, 1, 1, 1, 1, 90000, 0.0, 0.0, 0.0, 0, 0.0, 0xFFFFFFFF))
@example(PACKET_HEAD.pack(5, 1, 1, 1, 1, 1, 90000, 0.0, 0.0, 0.0, 0, 0.0, 0) + b"\x00\xff\xff\xff\x7f")
@example(PACKET_HEAD.pack(5, 0, 1, 1, 1, 1, 0, 0.0, 0.0, 0.0, 0, 0.0, 0))
def test_records_of_an_ingest_process_are_read_or_told_as_unreadable(content):
    for read in (head_of, unpack_raw, lambda data: unpack_packet(data, "s", 0.0)):
        with contextlib.suppress(*UNREADABLE):
            read(content)


SETTINGS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["streams", "engine", "auth", "storage", "notify", "service", "detectors", "id",
                                         "url", "token", "profile", "priority", "labels", "*", "video.black"]),
                        inner, max_size=4),
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.one_of(SETTINGS.map(lambda value: json.dumps(value)), st.text(max_size=100)))
@example("streams: [{id: a, url: .nan}]")
@example("&a [*a, *a]")
@example("a: &x {b: *x}")
def test_a_configuration_is_taken_or_refused_with_a_reason(text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        with contextlib.suppress(ConfigError):
            load_config(path, {})


@given(st.one_of(st.text(max_size=100), st.binary(max_size=80).map(lambda raw: raw.hex())))
def test_a_cookie_that_nobody_signed_is_nobodys(cookie):
    class Nobody:
        callers = ()

    assert Sessions(Nobody(), bytes(32)).caller(cookie, "h", None, False) is None
