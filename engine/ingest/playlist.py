"""HLS playlists: what one names, where its media breaks, and how it is told to libav.

Source: RFC 8216, 4.3 (tags), 4.4 (variants), 5.2 (initialisation vectors), 6.2.1 and 6.3.3 (numbers of segments).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from engine.ingest.renditions import Rendition
from engine.ingest.url_policy import is_local, joined, local_path, scheme_of

_ATTRIBUTE: Final = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^",]*)')
_PICTURE_CODECS: Final = re.compile(r"\b(avc[134]|hvc1|hev1|dvh1|dvhe|mp4v|vp0?[89]|av01|mjpg|xvid)", re.IGNORECASE)
_OF_ALL: Final = frozenset(
    ("#EXT-X-VERSION", "#EXT-X-TARGETDURATION", "#EXT-X-PLAYLIST-TYPE", "#EXT-X-START", "#EXT-X-INDEPENDENT-SEGMENTS")
)
_IV_BYTES: Final = 16
WHOLE: Final = "AES-128"
"""Method by which a resource is encrypted as a whole."""
SAMPLES: Final = "SAMPLE-AES"
"""Method by which samples are, within their segment."""
IDENTITY: Final = "identity"
"""KEYFORMAT of a key that lies at its address as it is."""
_MOST_DIGITS: Final = 18

Span = tuple[int, int]
"""First byte, and the first one that is not wanted any more."""


@dataclass(frozen=True, slots=True)
class Key:
    """What segments are encrypted with.

    Args:
        method: AES-128, SAMPLE-AES, ...
        url: of the key, absolute; "" where none is named.
        form: KEYFORMAT: who knows what the key's address means; "identity" for all.
        iv: initialisation vector; None where the segment's number is it.
    """

    method: str
    url: str
    form: str
    iv: bytes | None


@dataclass(frozen=True, slots=True)
class Initial:
    """What has to be read before a segment (EXT-X-MAP).

    Args:
        url: absolute.
        span: of the resource; None for all of it.
        key: that it is encrypted with.
    """

    url: str
    span: Span | None
    key: Key | None


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of media.

    Args:
        number: its media sequence number.
        url: absolute.
        span: of the resource; None for all of it.
        key: that it is encrypted with; None where it is not.
        initial: what has to be read before it.
        length: what EXTINF says.
        anew: nothing in it goes on from the segment before (EXT-X-DISCONTINUITY).
    """

    number: int
    url: str
    span: Span | None
    key: Key | None
    initial: Initial | None
    length: str
    anew: bool


@dataclass(frozen=True, slots=True)
class MediaPlaylist:
    """A playlist of segments.

    Args:
        segments: in order.
        breaks: EXT-X-DISCONTINUITY-SEQUENCE: how many breaks have left the playlist; None where it does not say.
        ended: nothing will be added (EXT-X-ENDLIST).
        head: the lines that say something of all of it.
    """

    segments: tuple[Segment, ...]
    breaks: int | None
    ended: bool
    head: tuple[str, ...]

    def told(
        self,
        shown: Sequence[Segment],
        segment: Callable[[Segment], str],
        initial: Callable[[Initial], str],
        key: Callable[[Key], str],
        *,
        ended: bool,
    ) -> str:
        """A part of it with other addresses, behind which whole resources lie that are not encrypted as a whole.

        Args:
            shown: which of its segments, in a row.
            segment: gives the address of a segment.
            initial: gives that of what is read before one.
            key: gives that of a key with which samples are encrypted within their segment.
            ended: nothing comes after them.
        """
        lines = ["#EXTM3U", *self.head, f"#EXT-X-MEDIA-SEQUENCE:{shown[0].number if shown else 0}"]
        before: Initial | None = None
        locked: Key | None = None
        for one in shown:
            if one.initial is not None and one.initial != before:
                lines.append(f'#EXT-X-MAP:URI="{initial(one.initial)}"')
            before = one.initial
            wanted = one.key if one.key is not None and one.key.method == SAMPLES else None
            if wanted is not None and wanted != locked:
                iv = f",IV=0x{wanted.iv.hex()}" if wanted.iv is not None else ""
                lines.append(f'#EXT-X-KEY:METHOD={SAMPLES},URI="{key(wanted)}"{iv}')
            elif wanted is None and locked is not None:
                lines.append("#EXT-X-KEY:METHOD=NONE")
            locked = wanted
            lines += [f"#EXTINF:{one.length}", segment(one)]
        return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if ended else []), ""])


def absolute(base: str, entry: str) -> str:
    """The address of a playlist's entry.

    Args:
        base: where the playlist came from.
    Raises: SourceError for what is no address.
    """
    if scheme_of(entry):
        return joined(entry, "")
    if is_local(base):  # urljoin knows no base for a plain path; libav joins paths as text
        folder, slash, _ = local_path(base).rpartition("/")
        return entry if entry.startswith("/") else f"{folder}{slash}{entry}"
    return joined(base, entry)


def attributes(line: str) -> dict[str, str]:
    """The attributes of a tag's line, without their quotes."""
    return {name: value.strip('"') for name, value in _ATTRIBUTE.findall(line.partition(":")[2])}


def is_master(text: str) -> bool:
    """Whether it names playlists, and not segments."""
    return any(line.startswith("#EXT-X-STREAM-INF") for line in text.splitlines())


def parse_media(text: str, url: str) -> MediaPlaylist:
    """Read a playlist of segments.

    Args:
        url: where it came from, after redirects.
    """
    number, breaks = 0, None
    anew = fresh = ended = False
    length = "0,"
    head: list[str] = []
    key: Key | None = None
    initial: Initial | None = None
    wanted: tuple[int, int | None] | None = None  # bytes, and the first one
    ends: dict[str, int] = {}  # by resource: where its last span ended
    segments: list[Segment] = []
    for raw in text.splitlines():
        line = raw.strip()
        tag, _, value = line.partition(":")
        if not line:
            continue
        if not line.startswith("#"):
            target = absolute(url, line)
            span = None
            if wanted is not None:
                size, first = wanted
                begin = ends.get(target, 0) if first is None else first
                span = begin, begin + size
                ends[target] = span[1]
            segments.append(Segment(number, target, span, key, initial, length, anew))
            number, anew, fresh, wanted = number + 1, False, False, None
            continue
        if tag == "#EXT-X-MEDIA-SEQUENCE":
            number = _number(value)
        elif tag == "#EXT-X-DISCONTINUITY-SEQUENCE":
            breaks = _number(value)
        elif tag == "#EXT-X-DISCONTINUITY":
            anew = True
        elif tag == "#EXT-X-BYTERANGE":
            wanted = _range(value)
        elif tag == "#EXTINF":
            length = value
        elif tag == "#EXT-X-ENDLIST":
            ended = True
        elif tag in _OF_ALL:
            head.append(line)
        elif tag == "#EXT-X-KEY":
            said_key = _key(attributes(line), url)
            # Of one key in several forms (for several DRM systems) that for all is the one.
            if not (fresh and key is not None and said_key is not None and key.form == IDENTITY != said_key.form):
                key, fresh = said_key, True
        elif tag == "#EXT-X-MAP":
            said = attributes(line)
            size_at = _range(said["BYTERANGE"]) if "BYTERANGE" in said else None
            span = None if size_at is None else (size_at[1] or 0, (size_at[1] or 0) + size_at[0])
            initial = Initial(absolute(url, said.get("URI", "")), span, key)
    return MediaPlaylist(tuple(segments), breaks, ended, tuple(head))


def _number(text: str) -> int:
    digits = text.strip()
    return int(digits) if digits.isdecimal() and len(digits) <= _MOST_DIGITS else 0


def _range(text: str) -> tuple[int, int | None] | None:
    """How many bytes, and the first one: "1000@200"; None for what says nothing."""
    size, at, first = text.strip().partition("@")
    found = _number(size)
    return (found, _number(first) if at else None) if found else None


def _key(said: dict[str, str], url: str) -> Key | None:
    method = said.get("METHOD", "NONE")
    if method == "NONE":
        return None
    text = said.get("IV", "")
    digits = text[2:] if text[:2].lower() == "0x" else ""
    iv = int(digits, 16).to_bytes(_IV_BYTES, "big") if re.fullmatch(r"[0-9A-Fa-f]{1,32}", digits) else None
    address = said.get("URI", "")
    return Key(method, absolute(url, address) if address else "", said.get("KEYFORMAT", IDENTITY), iv)


@dataclass(frozen=True, slots=True)
class Variant:
    """One variant of a master playlist.

    Args:
        url: of its playlist, absolute.
        rendition: its size and rate; a height of 0 where it does not say.
        codecs: as it names them; "" where it does not.
        sound: name of the group that its sound is in; "" for sound among its own segments.
    """

    url: str
    rendition: Rendition
    codecs: str
    sound: str

    @property
    def may_have_pictures(self) -> bool:
        """Whether what it says of itself does not speak against pictures."""
        return bool(self.rendition.height) or not self.codecs or _PICTURE_CODECS.search(self.codecs) is not None


@dataclass(frozen=True, slots=True)
class Sound:
    """One rendition of sound of a master playlist (EXT-X-MEDIA).

    Args:
        group: that it belongs to.
        url: of its playlist, absolute; "" for the sound among the variant's own segments.
        line: the playlist's own, without address and name.
    """

    group: str
    url: str
    line: str


@dataclass(frozen=True, slots=True)
class MasterPlaylist:
    """A playlist of playlists."""

    variants: tuple[Variant, ...]
    sounds: tuple[Sound, ...]


def parse_master(text: str, url: str) -> MasterPlaylist:
    """Read a playlist of playlists.

    Args:
        url: where it came from, after redirects.
    """
    variants: list[Variant] = []
    sounds: list[Sound] = []
    said: dict[str, str] | None = None
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("#EXT-X-STREAM-INF:"):
            said = attributes(line)
        elif line.startswith("#EXT-X-MEDIA:"):
            media = attributes(line)
            if media.get("TYPE") == "AUDIO":
                address = media.get("URI", "")
                kept = (f'{name}="{media[name]}"' for name in ("LANGUAGE", "CHANNELS") if name in media)
                flags = (f"{name}={media[name]}" for name in ("DEFAULT", "AUTOSELECT") if name in media)
                sounds.append(
                    Sound(
                        media.get("GROUP-ID", ""), absolute(url, address) if address else "", ",".join((*kept, *flags))
                    )
                )
        elif line and not line.startswith("#") and said is not None:
            width, _, height = said.get("RESOLUTION", "").partition("x")
            rendition = Rendition("", _number(width), _number(height), _number(said.get("BANDWIDTH", "")))
            variants.append(Variant(absolute(url, line), rendition, said.get("CODECS", ""), said.get("AUDIO", "")))
            said = None
    return MasterPlaylist(tuple(variants), tuple(sounds))
