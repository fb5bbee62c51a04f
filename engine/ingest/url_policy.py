"""What may be opened: schemes, nested protocols, demuxers, and addresses; and how a URL is shown without its secrets.

libav by itself opens plain paths, `file:`, `concat:`, `subfile,`, `async:`, `data:` and filter graphs, and lets a
playlist fetched over the network name any of them. Nothing is handed to it before it has passed here.
"""

import ipaddress
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final, Literal
from urllib.parse import unquote, urljoin, urlsplit

from engine.errors import SourceError

# Schemes that reach over a network and carry media. Each one with the protocols that libav needs below it.
_NETWORK: Final = {
    "http": "http,https,httpproxy,tls,tcp,crypto",
    "https": "http,https,httpproxy,tls,tcp,crypto",
    "hls": "hls,http,https,httpproxy,tls,tcp,crypto",
    "hls+http": "hls,http,https,httpproxy,tls,tcp,crypto",
    "hls+https": "hls,http,https,httpproxy,tls,tcp,crypto",
    "tcp": "tcp",
    "tls": "tls,tcp",
    "udp": "udp",
    "rtp": "rtp,srtp,udp",
    "srtp": "srtp,rtp,udp",
    "rtsp": "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https",
    "rtsps": "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,rtmp,tls,tcp",
    "rtmpt": "rtmpt,rtmp,http,tcp",
    "srt": "srt",
    "mmsh": "mmsh,http,tcp",
    "mmst": "mmst,tcp",
}
# Capture devices of this machine; see ingest/capture.py. Like files, they are for who runs it.
_DEVICES: Final = frozenset(("alsa", "v4l2"))
# A local playlist may name local segments, and a local .sdp file where to listen; neither reaches out by itself.
_LOCAL: Final = "file,crypto,rtp,srtp,udp"

# What an entry of a local playlist may end in; a playlist that names /etc/passwd is not about media.
_SEGMENT_SUFFIXES: Final = tuple(
    f".{suffix}"
    for suffix in (
        *("3gp", "aac", "ac3", "cmfa", "cmfv", "eac3", "ec3", "fmp4", "key", "m2ts", "m3u", "m3u8", "m4a", "m4s"),
        *("m4v", "mkv", "mov", "mp2", "mp3", "mp4", "mpeg", "mpg", "mts", "oga", "ogg", "ogv", "ts", "vtt", "webvtt"),
    )
)

# Demuxers that open other things than the media they are given, run programs, or take any text for a film.
_REFUSED_DEMUXERS: Final = frozenset(
    (
        *("concat", "lavfi", "tty", "bin", "xbin", "adf", "idf", "ffmetadata", "avisynth", "vapoursynth", "image2pipe"),
        *("alsa", "oss", "pulse", "jack", "sndio", "openal", "fbdev", "kmsgrab", "x11grab", "xcbgrab", "dv1394"),
        *("iec61883", "video4linux2,v4l2", "decklink", "libdc1394", "libcdio", "rawvideo", "data", "s8", "u8"),
        *(f"{kind}{bits}{order}" for kind in "su" for bits in (16, 24, 32) for order in ("be", "le")),
        *("f32be", "f32le", "f64be", "f64le", "alaw", "mulaw", "vidc", "g722", "g723_1", "g726", "g726le", "g728"),
        *("sln", "codec2raw"),
    )
)

# Group of entry points; each one's name is a scheme.
PACKAGE_SOURCES: Final = "avjury.sources"

_SCHEME: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+.\-]*)(?=[:,])")
_AUTHORITY: Final = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.\-]*://)([^/?#\s@]*)@")
_QUERY_PAIR: Final = re.compile(r"([?&;#])([^=&;#?\s'\"]+)=([^&;#\s'\"]*)")
_SECRET_NAME: Final = re.compile(
    r"auth|token|key|sig|secret|pass|pwd|cred|session|jwt|policy|hdn|acl|hmac|hash|nonce|user|login|code|ticket|access",
    re.IGNORECASE,
)
_HARMLESS_VALUE: Final = re.compile(r"[\w.:\-]{0,12}\Z")

_MAX_PLAYLIST_BYTES: Final = 4 << 20
_MAX_VARIANTS: Final = 200
_MAX_SEGMENTS: Final = 100_000
_URI_ATTRIBUTE: Final = re.compile(r'URI="([^"]*)"')


def redact(text: str) -> str:
    """Text with the secrets of every URL in it replaced by `***`: user and password, and query values that can be one.

    A query value stays only where neither its name nor its length suggests a secret (`?quality=720p`).
    """

    def pair(match: re.Match[str]) -> str:
        mark, name, value = match.groups()
        harmless = not _SECRET_NAME.search(unquote(name)) and _HARMLESS_VALUE.match(unquote(value))
        return match.group(0) if harmless or not value else f"{mark}{name}=***"

    # Queries first: without their values, what is left of a text can look like an address with a password.
    return _AUTHORITY.sub(r"\1***@", _QUERY_PAIR.sub(pair, text))


def scheme_of(url: str) -> str:
    """The scheme in lower case; "" for a plain path (a path that has a colon after a slash is a path)."""
    match = _SCHEME.match(url)
    return match.group(1).lower() if match else ""


def is_local(url: str) -> bool:
    """Whether it names a file of this machine: a plain path or `file:`."""
    return scheme_of(url) in ("", "file")


def is_device(url: str) -> bool:
    """Whether it names a capture device of this machine: `v4l2:/dev/video0`, `alsa:hw:0`."""
    return scheme_of(url) in _DEVICES


@cache
def package_schemes() -> Mapping[str, EntryPoint]:
    """The schemes that installed packages read (ingest/package_sources.py), found once per process.

    What avjury reads itself cannot be taken from it.
    """
    own = {"", "file", *_DEVICES, *_NETWORK}
    found = {point.name.lower(): point for point in entry_points(group=PACKAGE_SOURCES)}
    return {scheme: point for scheme, point in found.items() if scheme not in own}


def is_package_scheme(scheme: str) -> bool:
    """Whether another package reads it."""
    return scheme in package_schemes()


def local_path(url: str) -> str:
    """The path that a local URL names (`file:///a%20b` is not decoded: libav does not do it either)."""
    if scheme_of(url) != "file":
        return url
    rest = url.split(":", 1)[1]
    return rest[2:] if rest.startswith("//") else rest


@dataclass(frozen=True, slots=True)
class UrlPolicy:
    """What one kind of caller may open.

    Args:
        allow_files: local files, capture devices, and what other packages read may be opened. Off for callers over the
            network.
        allow_private: loopback, link-local and private addresses may be reached. On for what the operator wrote.
        schemes: allowed schemes besides plain paths and `file`.
        max_pixels: width x height above which an input is refused.
    """

    allow_files: bool = True
    allow_private: bool = True
    schemes: frozenset[str] = frozenset(_NETWORK)
    max_pixels: int = 8192 * 8192

    def check(self, url: str, stream: str) -> None:
        """Refuse a URL whose scheme or address is not allowed. Resolves names only where addresses are restricted.

        Raises: SourceError "scheme not allowed", "address not allowed" or "dns failure".
        """
        scheme = scheme_of(url)
        # A file's name may have line breaks in it, an address may not.
        if "\0" in url or (scheme and ("\n" in url or "\r" in url)):
            raise SourceError(
                "cannot open input",
                stream=stream.replace("\0", ""),
                why="a control character in the address",
                remedy="write the path or URL on one line",
            )
        if scheme in ("", "file"):
            if not self.allow_files:
                raise self._refused(stream, scheme or "file")
            return
        if self.allow_files and (scheme in _DEVICES or is_package_scheme(scheme)):
            return
        if scheme not in self.schemes or scheme not in _NETWORK:
            # "a:b.ts" may well be a file's name; libav, though, would take it for a protocol.
            raise self._refused(stream, scheme)
        if not self.allow_private:
            self._check_address(url, stream)

    def _refused(self, stream: str, scheme: str) -> SourceError:
        own = [*sorted(_DEVICES), *sorted(package_schemes())]
        allowed = (["plain paths", "file", *own] if self.allow_files else []) + sorted(self.schemes & _NETWORK.keys())
        return SourceError(
            "scheme not allowed",
            stream=stream,
            why=f"'{scheme}:' is not among the protocols that may be opened",
            remedy=f"use one of: {', '.join(allowed)} (write ./ before a file name that contains a colon)",
        )

    def _check_address(self, url: str, stream: str) -> None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise SourceError(
                "cannot open input", stream=stream, why=f"not a URL ({redact(str(error))})", remedy="check its spelling"
            ) from error
        if not host:
            raise SourceError(
                "cannot open input", stream=stream, why="the URL names no host", remedy="write scheme://host/path"
            )
        self.allowed_addresses(host, port, stream)

    def allowed_addresses(self, host: str, port: int | None, stream: str) -> list[str]:
        """The addresses of a host, all of which may be connected to. Who connects to these, and does not resolve the
        name again, cannot be led elsewhere by a name server that changes its answers.

        Raises: SourceError "address not allowed" or "dns failure".
        """
        found = resolve(host, port, stream)
        for address in found:
            if not self.allow_private and (not address.is_global or address.is_multicast):
                raise SourceError(
                    "address not allowed",
                    stream=stream,
                    why=f"{host} is not a public address"
                    if host == str(address)
                    else f"{host} is {address}, which is not a public address",
                    remedy="streams in private networks have to be named in the operator's own configuration",
                )
        return [str(address) for address in found]

    def check_playlist(self, url: str, text: str, stream: str) -> list[str]:
        """Refuse a playlist that names what its origin may not open, or that is too big to be one.

        Args:
            url: where the playlist came from; relative entries are resolved against it.
            text: its content.
        Returns: the absolute addresses of the playlists that it names (variants and renditions), without doubles.
        Raises: SourceError "scheme not allowed", "address not allowed", "no segments" or "playlist limit exceeded".
        """
        if len(text) > _MAX_PLAYLIST_BYTES:
            raise _limit(stream, f"the playlist has {len(text)} bytes; {_MAX_PLAYLIST_BYTES} are allowed")
        playlists: dict[str, None] = {}
        segments = 0
        addresses: set[str] = set()
        for entry, kind in _entries(text):
            # urljoin knows no base for a plain path, and would take "a:b" apart; libav joins paths as text.
            target = entry if scheme_of(entry) else (entry if is_local(url) else joined(url, entry, stream))
            scheme = scheme_of(target)
            if is_local(url):
                if scheme not in ("", "file"):
                    raise self._names(stream, entry, "a local playlist may name local files only")
                if not target.lower().endswith(_SEGMENT_SUFFIXES):
                    raise self._names(stream, entry, "a playlist may name media files only")
            else:
                joined(url, target, stream)
                if scheme not in _NETWORK or scheme not in self.schemes:
                    raise self._names(stream, entry, "a playlist from the network may name network addresses only")
                if not self.allow_private and (host := urlsplit(target).netloc) not in addresses:
                    addresses.add(host)
                    self._check_address(target, stream)
            if kind == "playlist":
                if target == url:
                    raise _limit(stream, "the playlist names itself")
                playlists[target] = None
            elif kind == "segment":
                segments += 1
            if len(playlists) > _MAX_VARIANTS or segments > _MAX_SEGMENTS:
                raise _limit(stream, f"more than {_MAX_VARIANTS} variants or {_MAX_SEGMENTS} segments")
        if not playlists and not segments:
            raise SourceError(
                "cannot open input",
                stream=stream,
                why="the playlist has no segments",
                remedy="check the packager: a playlist needs at least one #EXTINF entry",
            )
        return list(playlists)

    def _names(self, stream: str, entry: str, rule: str) -> SourceError:
        return SourceError(
            "scheme not allowed",
            stream=stream,
            why=f"the playlist names {redact(entry)[:200]}",
            remedy=f"{rule}; check who wrote this playlist",
        )

    def protocol_whitelist(self, url: str) -> str:
        """libav's `protocol_whitelist` for this input: what it and everything that it names may use."""
        # What a package reads comes as bytes; nothing that lies in them may name another input.
        return _LOCAL if is_local(url) else _NETWORK.get(scheme_of(url), "none")


def open_options(url: str, policy: UrlPolicy, demuxers: set[str]) -> dict[str, str]:
    """libav's options that hold the policy while an input is open.

    Args:
        demuxers: names of the demuxers that this libav has.
    """
    options = {
        "protocol_whitelist": policy.protocol_whitelist(url),
        "format_whitelist": ",".join(sorted(demuxers - _REFUSED_DEMUXERS)),
        # For the decoder that looks for a track's properties. What is a little too large shall still be described.
        "max_pixels": str(4 * policy.max_pixels),
        # image2 would take "%d" in a name for a numbered sequence.
        "pattern_type": "none",
        # A lost UDP packet shows as a damaged picture; over TCP it does not happen.
        "rtsp_flags": "prefer_tcp",
    }
    if not is_local(url):
        # The extension guards files of this machine, which no protocol of a network input can reach.
        options["extension_picky"] = "0"
        options["allowed_extensions"] = "ALL"
    return options


def playlist_options(begin: int) -> dict[str, str]:
    """libav's options for playlists that it reads through us, whose addresses are ours.

    Args:
        begin: index of the segment of a live one that is read first; below 0 from its end.
    """
    options = {"extension_picky": "0", "allowed_extensions": "ALL", "http_persistent": "0"}
    return {**options, "live_start_index": str(begin)}


def joined(base: str, entry: str, stream: str = "") -> str:
    """The address that an entry names, seen from where it stands.

    Raises: SourceError "cannot open input" for what is no address.
    """
    try:
        target = urljoin(base, entry)
        urlsplit(target)
    except ValueError as error:
        raise SourceError(
            "cannot open input",
            stream=stream,
            why=f"it names {redact(entry)[:200]!r}, which is no address",
            remedy="check who wrote the playlist, manifest or redirect",
        ) from error
    return target


def resolve(host: str, port: int | None, stream: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The addresses of a host, decimal and hexadecimal spellings of IPv4 included.

    Raises: SourceError "dns failure".
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SourceError(
            "dns failure",
            stream=stream,
            why=f"the name {host} cannot be resolved ({getattr(error, 'strerror', None) or error})",
            remedy="check the spelling and this machine's name servers",
        ) from error
    addresses: list[ipaddress.IPv4Address | ipaddress.IPv6Address] = []
    for entry in found:
        address = ipaddress.ip_address(str(entry[4][0]).split("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        addresses.append(mapped or address)
    return addresses


def _limit(stream: str, why: str) -> SourceError:
    return SourceError(
        "playlist limit exceeded", stream=stream, why=why, remedy="shorten the playlist, or open one variant directly"
    )


def _entries(text: str) -> Iterator[tuple[str, Literal["playlist", "segment", "part"]]]:
    """Every address that an HLS playlist names, and what it is (RFC 8216, section 4.3; keys and maps are parts)."""
    variant = False
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("#EXT-X-STREAM-INF"):
            variant = True
        elif line.startswith("#"):
            if match := _URI_ATTRIBUTE.search(line):
                nested = line.startswith(("#EXT-X-MEDIA:", "#EXT-X-I-FRAME-STREAM-INF"))
                yield match.group(1), "playlist" if nested else "part"
        elif line:
            yield line, "playlist" if variant else "segment"
            variant = False
