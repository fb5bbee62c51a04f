"""What may be opened, and that no secret is shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SourceError
from engine.ingest.url_policy import UrlPolicy, open_options, redact, scheme_of

STRICT = UrlPolicy(allow_files=False, allow_private=False)


@pytest.mark.parametrize(
    "url",
    [
        "concat:a.ts|b.ts",
        "subfile,,start,0,end,100,,:clip.ts",
        "async:clip.ts",
        "data:video/mp4;base64,AAAA",
        "pipe:0",
        "fd:",
        "lavfi:testsrc",
        "cache:http://example.org/x",
        "CONCAT:a.ts",
        "gopher://example.org/",
        "unix:/run/socket",
    ],
)
def test_schemes_that_reach_elsewhere_are_refused(url: str) -> None:
    with pytest.raises(SourceError, match="scheme not allowed"):
        UrlPolicy().check(url, url)


@pytest.mark.parametrize(
    "url",
    ["clip.mp4", "/a/b:c.ts", "./a:b.ts", "file:///a.ts", "http://h/x", "https://h/x", "rtsp://h/x", "srt://h:1"],
)
def test_the_operator_may_open_files_and_network_addresses(url: str) -> None:
    UrlPolicy().check(url, url)


def test_a_caller_without_files_may_not_open_them() -> None:
    for url in ("clip.mp4", "file:///etc/passwd"):
        with pytest.raises(SourceError, match="scheme not allowed"):
            STRICT.check(url, url)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f000001",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "10.0.0.1",
        "169.254.169.254",
    ],
)
def test_private_addresses_are_refused_in_every_spelling(host: str) -> None:
    with pytest.raises(SourceError, match="address not allowed"):
        STRICT.check(f"http://{host}:8000/live.ts", "s")
    UrlPolicy().check(f"http://{host}:8000/live.ts", "s")


def test_an_unknown_name_is_a_dns_failure() -> None:
    with pytest.raises(SourceError, match=r"dns failure: the name nowhere\.invalid"):
        STRICT.check("http://nowhere.invalid/x", "s")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://admin:hunter2@cam/1", "rtsp://***@cam/1"),
        ("http://h/a.ts?token=abc&quality=720p", "http://h/a.ts?token=***&quality=720p"),
        ("srt://h:1?passphrase=0123456789&mode=caller", "srt://h:1?passphrase=***&mode=caller"),
        ("http://h/x?x=eyJhbGciOiJIUzI1NiJ9.payload", "http://h/x?x=***"),
        ("failed: 'http://u:p@h/x' and http://v:q@h/y", "failed: 'http://***@h/x' and http://***@h/y"),
        ("/films/a@b.ts", "/films/a@b.ts"),
        ("http://h/a@b.ts", "http://h/a@b.ts"),
    ],
)
def test_secrets_are_hidden(text: str, shown: str) -> None:
    assert redact(text) == shown


@given(st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=13, max_size=40))
def test_no_long_value_survives(secret: str) -> None:
    assert secret not in redact(f"https://user:{secret}@host/path?q={secret}")


def test_a_network_playlist_may_not_name_files() -> None:
    playlist = "#EXTM3U\n#EXTINF:4,\nfile:///etc/passwd\n"
    with pytest.raises(SourceError, match=r"the playlist names file:///etc/passwd"):
        UrlPolicy().check_playlist("http://h/live.m3u8", playlist, "s")
    key = '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="file:///etc/passwd"\n#EXTINF:4,\na.ts\n'
    with pytest.raises(SourceError, match=r"the playlist names file:///etc/passwd"):
        UrlPolicy().check_playlist("http://h/live.m3u8", key, "s")


def test_a_local_playlist_may_name_local_media_only() -> None:
    policy = UrlPolicy()
    assert policy.check_playlist("/x/live.m3u8", "#EXTM3U\n#EXTINF:4,\nseg0.ts\n", "s") == []
    for entry in ("http://h/a.ts", "/etc/passwd", "concat:a.ts|b.ts"):
        with pytest.raises(SourceError, match="the playlist names"):
            policy.check_playlist("/x/live.m3u8", f"#EXTM3U\n#EXTINF:4,\n{entry}\n", "s")


def test_a_playlist_may_not_lead_into_a_private_network() -> None:
    text = "#EXTM3U\n#EXTINF:4,\nhttp://127.0.0.1/a.ts\n"
    with pytest.raises(SourceError, match="address not allowed"):
        STRICT.check_playlist("http://1.1.1.1/live.m3u8", text, "s")


def test_playlists_have_limits() -> None:
    policy = UrlPolicy()
    with pytest.raises(SourceError, match="has no segments"):
        policy.check_playlist("http://h/a.m3u8", "#EXTM3U\n", "s")
    itself = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n"
    with pytest.raises(SourceError, match="playlist limit exceeded: the playlist names itself"):
        policy.check_playlist("http://h/a.m3u8", itself, "s")
    many = "#EXTM3U\n" + "".join(f"#EXT-X-STREAM-INF:BANDWIDTH=1\nv{i}.m3u8\n" for i in range(2000))
    with pytest.raises(SourceError, match="playlist limit exceeded: more than 200"):
        policy.check_playlist("http://h/a.m3u8", many, "s")


def test_variants_are_returned_as_absolute_addresses() -> None:
    text = '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,URI="../a.m3u8"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv/1.m3u8?x=1\n'
    found = UrlPolicy().check_playlist("http://h/live/m.m3u8", text, "s")
    assert found == ["http://h/a.m3u8", "http://h/live/v/1.m3u8?x=1"]


def test_what_a_network_input_may_use_never_includes_files() -> None:
    demuxers = {"hls", "mpegts", "concat", "lavfi", "tty"}
    for url in ("http://h/x", "rtsp://h/x", "srt://h:1", "udp://h:1"):
        allowed = open_options(url, UrlPolicy(), demuxers)["protocol_whitelist"].split(",")
        assert not {"file", "pipe", "concat", "data", "subfile", "async"} & set(allowed)
    assert "http" not in open_options("live.m3u8", UrlPolicy(), demuxers)["protocol_whitelist"].split(",")
    assert open_options("x", UrlPolicy(), demuxers)["format_whitelist"] == "hls,mpegts"


def test_a_path_with_a_colon_after_a_slash_has_no_scheme() -> None:
    assert scheme_of("/a/b:c.ts") == scheme_of("./b:c.ts") == ""
    assert scheme_of("HTTP://h") == "http"
