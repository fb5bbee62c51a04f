"""DASH manifests, told to libav as HLS playlists.

libav's own DASH demuxer is seldom built (it needs libxml2), fetches wherever a manifest points, and knows no choice of
renditions. Its HLS demuxer reads the same segments: so the manifest is parsed here, one video and one audio
representation are chosen, and their segments are listed in playlists of our own, which libav asks for again as long as
the manifest is live.

Source: ISO/IEC 23009-1:2022, 5.2 to 5.3 (manifest, segment information), 4.4 (live timing).
"""

import math
import re
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Final

from engine.errors import SourceError
from engine.ingest.http_files import HttpFiles
from engine.ingest.renditions import Rendition, choose
from engine.ingest.url_policy import joined

MANIFEST_BYTES: Final = 4 << 20
_MOST_SEGMENTS: Final = 100_000
# A live manifest without a depth keeps everything; a viewer begins near the end.
_LIVE_SEGMENTS: Final = 12
# How far the clocks of server and machine may lie apart before the server's counts.
_CLOCK_SECONDS: Final = 1.0
_DURATION: Final = re.compile(
    r"P(?:(?P<days>[\d.]+)D)?(?:T(?:(?P<hours>[\d.]+)H)?(?:(?P<minutes>[\d.]+)M)?(?:(?P<seconds>[\d.]+)S)?)?\Z"
)
_IDENTIFIER: Final = re.compile(r"\$(?:(RepresentationID|Number|Time|Bandwidth)(?:%0(\d{1,2})d)?)?\$")


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of media.

    Args:
        url: absolute.
        seconds: its length.
        time: its place on the representation's own timeline, in ticks; None where it has none.
        span: first byte, and the first one after it; None for the whole resource.
    """

    url: str
    seconds: float
    time: int | None
    span: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Track:
    """What one representation has in one period.

    Args:
        rendition: what it is.
        segments: in order.
        initial: what has to be read before them; None where each stands alone.
    """

    rendition: Rendition
    segments: tuple[Segment, ...]
    initial: Segment | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A parsed manifest.

    Args:
        live: segments are still being added.
        update_seconds: how soon it may be asked for again; None where it says nothing.
        periods: of each period the representations by kind ("video", "audio").
    """

    live: bool
    update_seconds: float | None
    periods: tuple[Mapping[str, tuple[Track, ...]], ...]


def parse_manifest(body: bytes, url: str, stream: str, now: float) -> Manifest:
    """Read a manifest.

    Args:
        body: XML.
        url: where it came from, after redirects.
        stream: the stream's id, for errors.
        now: Unix seconds, by the server's clock.
    Raises: SourceError: it is no manifest, is too big, is encrypted, or has nothing to play.
    """
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise _refused(stream, "the DASH manifest has a document type, which none needs", "check who wrote it")
    if len(body) > MANIFEST_BYTES:
        raise SourceError(
            "playlist limit exceeded",
            stream=stream,
            why=f"the DASH manifest has more than {MANIFEST_BYTES} bytes",
            remedy="shorten the time that it covers",
        )
    try:
        root = ElementTree.fromstring(body)
        if _name(root) != "MPD":
            raise ValueError(f"its root is {_name(root)}")
        manifest = _Reader(url, stream, now).manifest(root)
    except (ElementTree.ParseError, ValueError, KeyError, ZeroDivisionError, OverflowError) as error:
        raise _refused(
            stream, f"the DASH manifest cannot be read ({error})", "check what the packager writes"
        ) from error
    if not any(tracks for period in manifest.periods for tracks in period.values()):
        raise _refused(stream, "the DASH manifest has no segments", "check that the stream is on air")
    return manifest


def _refused(stream: str, why: str, remedy: str) -> SourceError:
    return SourceError("cannot open input", stream=stream, why=why, remedy=remedy)


@dataclass(frozen=True, slots=True)
class _Addressing:
    """How the segments of a representation are named; what an outer element says holds for the inner ones."""

    kind: str = ""  # SegmentTemplate, SegmentList, SegmentBase
    attributes: Mapping[str, str] = field(default_factory=dict)
    timeline: tuple[Mapping[str, str], ...] = ()
    listed: tuple[Mapping[str, str], ...] = ()
    initialization: Mapping[str, str] = field(default_factory=dict)

    def within(self, element: ElementTree.Element) -> "_Addressing":
        """With what an element itself says."""
        found = self
        for child in element:
            name = _name(child)
            if name not in ("SegmentTemplate", "SegmentList", "SegmentBase"):
                continue
            outer = found if found.kind in ("", name) else _Addressing()
            found = replace(outer, kind=name, attributes={**outer.attributes, **child.attrib})
            for part in child:
                if _name(part) == "SegmentTimeline":
                    found = replace(found, timeline=tuple(s.attrib for s in part if _name(s) == "S"))
                elif _name(part) == "Initialization":
                    found = replace(found, initialization=dict(part.attrib))
            listed = tuple(part.attrib for part in child if _name(part) == "SegmentURL")
            found = replace(found, listed=listed or found.listed)
        return found


class _Reader:
    def __init__(self, url: str, stream: str, now: float) -> None:
        self._url, self._stream, self._now = url, stream, now
        self._live = False
        self._available = 0.0  # Unix seconds at which the presentation begins
        self._depth: float | None = None
        self._encrypted = False

    def manifest(self, root: ElementTree.Element) -> Manifest:
        self._live = root.get("type") == "dynamic"
        start = root.get("availabilityStartTime")
        self._available = _moment(start) if start else 0.0
        depth = root.get("timeShiftBufferDepth")
        self._depth = _seconds(depth) if depth else None
        total = root.get("mediaPresentationDuration")
        whole = _seconds(total) if total else None
        base = _base(root, self._url)
        elements = [child for child in root if _name(child) == "Period"]
        periods = []
        begin = 0.0
        for index, element in enumerate(elements):
            given = element.get("start")
            begin = _seconds(given) if given else begin
            length = element.get("duration")
            following = elements[index + 1].get("start") if index + 1 < len(elements) else None
            end = begin + _seconds(length) if length else _seconds(following) if following else whole
            periods.append(self._period(element, base, begin, end))
            begin = end if end is not None else begin
        if self._encrypted and not any(tracks for period in periods for tracks in period.values()):
            raise _refused(self._stream, "its media is encrypted (ContentProtection)", "name an address without DRM")
        update = root.get("minimumUpdatePeriod")
        return Manifest(self._live, _seconds(update) if update else None, tuple(periods))

    def _period(
        self, period: ElementTree.Element, base: str, begin: float, end: float | None
    ) -> Mapping[str, tuple[Track, ...]]:
        found: dict[str, list[Track]] = {"video": [], "audio": []}
        base = _base(period, base)
        addressing = _Addressing().within(period)
        for group in period:
            if _name(group) != "AdaptationSet" or _is_trick(group):
                continue
            group_base, group_addressing = _base(group, base), addressing.within(group)
            for element in group:
                kind = _kind(group, element)
                if _name(element) != "Representation" or kind not in found:
                    continue
                if any(_name(child) == "ContentProtection" for child in (*group, *element)):
                    self._encrypted = True
                    continue
                found[kind].append(
                    self._track(
                        element, group, _base(element, group_base), group_addressing.within(element), begin, end
                    )
                )
        return {kind: tuple(track for track in tracks if track.segments) for kind, tracks in found.items()}

    def _track(
        self,
        element: ElementTree.Element,
        group: ElementTree.Element,
        base: str,
        addressing: _Addressing,
        begin: float,
        end: float | None,
    ) -> Track:
        def said(name: str) -> str:
            return element.get(name) or group.get(name) or "0"

        rendition = Rendition(
            name=element.get("id", ""), width=int(said("width")), height=int(said("height")),
            bits_per_second=int(said("bandwidth")),
        )  # fmt: skip
        fill = _Filler(element.get("id", ""), rendition.bits_per_second, base)
        length = None if end is None else end - begin
        if addressing.kind == "SegmentTemplate":
            segments = tuple(self._templated(addressing, fill, begin, length))
            pattern = addressing.attributes.get("initialization")
            initial = Segment(fill(pattern), 0.0, 0) if pattern else self._initial(addressing, base)
        elif addressing.kind == "SegmentList":
            segments = tuple(_listed(addressing, base))
            initial = self._initial(addressing, base)
        else:
            # One resource that holds everything; it says itself where its parts are.
            segments, initial = (Segment(base, length or 1.0, 0),), None
        return Track(rendition, segments, initial)

    @staticmethod
    def _initial(addressing: _Addressing, base: str) -> Segment | None:
        said = addressing.initialization
        if not said:
            return None
        return Segment(joined(base, said.get("sourceURL", "")), 0.0, 0, _span(said.get("range")))

    def _templated(
        self, addressing: _Addressing, fill: "_Filler", begin: float, length: float | None
    ) -> Iterator[Segment]:
        said = addressing.attributes
        media, scale = said["media"], int(said.get("timescale", "1"))
        number, offset = int(said.get("startNumber", "1")), int(said.get("presentationTimeOffset", "0"))
        if addressing.timeline:
            for index, (at, ticks) in enumerate(_timeline(addressing.timeline, offset, scale, length)):
                yield Segment(fill(media, number + index, at), ticks / scale, at)
            return
        ticks = int(said["duration"])
        seconds = ticks / scale
        if self._live:
            # A segment can be had when it is complete.
            last = math.floor((self._now - self._available - begin) / seconds) - 1
            if length is not None:
                last = min(last, math.ceil(length / seconds) - 1)
            kept = math.floor(self._depth / seconds) if self._depth is not None else _LIVE_SEGMENTS
            first = max(0, last - max(1, min(kept, _LIVE_SEGMENTS)) + 1)
        else:
            if length is None:
                raise ValueError("neither the manifest nor its period says how long it is")
            first, last = 0, math.ceil(length / seconds - 1e-6) - 1
        if last - first >= _MOST_SEGMENTS:
            raise ValueError(f"{last - first + 1} segments")
        for index in range(first, last + 1):
            at = index * ticks + offset
            left = seconds if length is None else min(seconds, length - index * seconds)
            yield Segment(fill(media, number + index, at), max(left, 0.001), at)


@dataclass(frozen=True, slots=True)
class _Filler:
    """Fills the identifiers of a template in (ISO/IEC 23009-1, table 21)."""

    representation: str
    bandwidth: int
    base: str

    def __call__(self, pattern: str, number: int = 0, at: int = 0) -> str:
        values = {
            "RepresentationID": self.representation, "Number": number, "Time": at, "Bandwidth": self.bandwidth,
        }  # fmt: skip

        def fill(match: re.Match[str]) -> str:
            name, width = match.groups()
            if name is None:
                return "$"
            return f"{values[name]:0{int(width)}d}" if width else str(values[name])

        return joined(self.base, _IDENTIFIER.sub(fill, pattern))


def _timeline(
    entries: tuple[Mapping[str, str], ...], offset: int, scale: int, length: float | None
) -> Iterator[tuple[int, int]]:
    """Start and length of each segment of a SegmentTimeline, in ticks."""
    at, count = 0, 0
    for index, entry in enumerate(entries):
        at = int(entry["t"]) if "t" in entry else at
        ticks, repeats = int(entry["d"]), int(entry.get("r", "0"))
        if ticks <= 0:
            raise ValueError("a segment without length")
        if repeats < 0:  # up to the next entry, or to the end of the period
            following = entries[index + 1].get("t") if index + 1 < len(entries) else None
            if following is not None:
                until = float(following)
            elif length is not None:
                until = offset + length * scale
            else:
                until = at + ticks * _LIVE_SEGMENTS
            repeats = max(0, math.ceil((until - at) / ticks) - 1)
        count += repeats + 1
        if count > _MOST_SEGMENTS:
            raise ValueError(f"more than {_MOST_SEGMENTS} segments")
        for _ in range(repeats + 1):
            yield at, ticks
            at += ticks


def _listed(addressing: _Addressing, base: str) -> Iterator[Segment]:
    said = addressing.attributes
    scale, ticks = int(said.get("timescale", "1")), int(said.get("duration", "0"))
    lengths = [length for _, length in _timeline(addressing.timeline, 0, scale, None)] if addressing.timeline else []
    for index, entry in enumerate(addressing.listed):
        length = lengths[index] if index < len(lengths) else ticks
        url = joined(base, entry.get("media", ""))
        yield Segment(url, length / scale or 1.0, None, _span(entry.get("mediaRange")))


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _base(element: ElementTree.Element, outer: str) -> str:
    """The address that relative ones within an element refer to: the first of its BaseURLs."""
    said = next((child.text for child in element if _name(child) == "BaseURL" and child.text), None)
    return outer if said is None else joined(outer, said.strip())


def _kind(group: ElementTree.Element, element: ElementTree.Element) -> str:
    said = group.get("contentType") or element.get("mimeType") or group.get("mimeType") or ""
    return said.partition("/")[0]


def _is_trick(group: ElementTree.Element) -> bool:
    """Key frames for fast winding are no programme."""
    return any(
        "trickmode" in child.get("schemeIdUri", "")
        for child in group
        if _name(child) in ("EssentialProperty", "SupplementalProperty")
    )


def _span(text: str | None) -> tuple[int, int] | None:
    if not text:
        return None
    first, _, last = text.partition("-")
    return int(first), int(last) + 1


def _seconds(text: str) -> float:
    """An xs:duration without years and months, which have no fixed length."""
    match = _DURATION.match(text)
    if match is None:
        raise ValueError(f"{text!r} is no duration")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _moment(text: str) -> float:
    """An xs:dateTime as Unix seconds; UTC where it names no zone."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


class DashPlaylists:
    """A manifest as playlists; see ingest/hls.py, which hands them to libav.

    Belongs to the reader's thread.

    Args:
        url: of the manifest.
        stream: the stream's id.
        files: fetches manifest and segments.
        rendition: which video representation is played; see `renditions.choose`.
        clock: Unix seconds.
    Raises: SourceError if there is no manifest, or nothing in it can be played.
    """

    def __init__(
        self, url: str, stream: str, files: HttpFiles, rendition: str, clock: Callable[[], float] = time.time
    ) -> None:
        self.files = files
        self._url, self._stream, self._rendition, self._clock = url, stream, rendition, clock
        self._ahead = 0.0  # by how much the server's clock is
        self._numbers: dict[str, tuple[int, dict[str, int]]] = {}  # by kind: the next number, and each segment's
        self._document = (b"", url)
        self._fetched_at = 0.0
        self._fetch()
        self._manifest = self._parse()
        self.kinds = tuple(kind for kind in ("video", "audio") if any(p.get(kind) for p in self._manifest.periods))

    @property
    def live(self) -> bool:
        """Segments are still being added."""
        return self._manifest.live

    @property
    def target_seconds(self) -> float:
        """The longest of the chosen segments."""
        return max((segment.seconds for kind in self.kinds for _, segment in self._segments(kind)), default=0.0)

    def renditions(self) -> tuple[Rendition, ...]:
        """The video representations of the last period."""
        return tuple(track.rendition for track in self._manifest.periods[-1].get("video", ()))

    def lists(self) -> dict[str, Callable[[], tuple[bytes, str]]]:
        """What gives the playlist of each kind as the manifest is at that time, and its address."""

        def body(kind: str) -> tuple[bytes, str]:
            if self.live:
                self._refresh()
            return self.playlist(kind).encode(), self._document[1]

        return {kind: partial(body, kind) for kind in self.kinds}

    def master(self) -> str:
        """The master playlist: one variant, with its sound."""
        lines = ["#EXTM3U", "#EXT-X-VERSION:7"]
        if self.kinds == ("video", "audio"):
            lines.append('#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="audio",DEFAULT=YES,URI="audio.m3u8"')
        rate = max(1, self._chosen(self.kinds[0])[0][1].rendition.bits_per_second)
        sound = ',AUDIO="sound"' if len(self.kinds) == 2 else ""
        return "\n".join([*lines, f"#EXT-X-STREAM-INF:BANDWIDTH={rate}{sound}", f"{self.kinds[0]}.m3u8", ""])

    def playlist(self, kind: str) -> str:
        """The media playlist of a kind ("video", "audio"), as the manifest is now."""
        numbered = self._number(kind)
        target = math.ceil(max((segment.seconds for _, _, segment in numbered), default=1.0))
        lines = ["#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{target}"]
        lines.append(f"#EXT-X-MEDIA-SEQUENCE:{numbered[0][0] if numbered else 0}")
        if not self.live:
            lines.append("#EXT-X-PLAYLIST-TYPE:VOD")
        before: Track | None = None
        for _, track, segment in numbered:
            if track is not before:
                if before is not None:
                    lines.append("#EXT-X-DISCONTINUITY")
                if track.initial is not None:
                    lines.append(f'#EXT-X-MAP:URI="{track.initial.url}"{_map_range(track.initial.span)}')
                before = track
            lines.append(f"#EXTINF:{segment.seconds:.6f},")
            if segment.span is not None:
                lines.append(f"#EXT-X-BYTERANGE:{segment.span[1] - segment.span[0]}@{segment.span[0]}")
            lines.append(segment.url)
        return "\n".join([*lines, *([] if self.live else ["#EXT-X-ENDLIST"]), ""])

    def _chosen(self, kind: str) -> list[tuple[int, Track]]:
        """The number of each period, and what is played of it."""
        found = []
        for index, period in enumerate(self._manifest.periods):
            tracks = period.get(kind, ())
            if tracks:
                rule = self._rendition if kind == "video" else "best"
                found.append((index, tracks[choose([track.rendition for track in tracks], rule)]))
        return found

    def _segments(self, kind: str) -> list[tuple[Track, Segment]]:
        return [(track, segment) for _, track in self._chosen(kind) for segment in track.segments]

    def _number(self, kind: str) -> list[tuple[int, Track, Segment]]:
        """The segments with numbers that stay the same from one manifest to the next, whatever leaves its window."""
        following, known = self._numbers.get(kind, (0, {}))
        numbers: dict[str, int] = {}
        found = []
        for track, segment in self._segments(kind):
            # A token in the address changes, and so may its number; the segment stays the same.
            place = segment.url.partition("?")[0] if segment.time is None else str(segment.time)
            key = f"{track.initial.url.partition('?')[0] if track.initial else ''} {place}"
            number = known.get(key)
            if number is None:
                number = following
            following = max(following, number + 1)
            numbers[key] = number
            found.append((number, track, segment))
        self._numbers[kind] = (following, numbers)
        return found

    def _refresh(self) -> None:
        """Fetch the manifest again where that is due; the old one goes on where that fails, by the clock."""
        due = self._manifest.update_seconds
        try:
            if due is not None and time.monotonic() - self._fetched_at >= due:
                self._fetch()
            self._manifest = self._parse()
        except SourceError as error:
            self.files.failure = error

    def _parse(self) -> Manifest:
        body, url = self._document
        return parse_manifest(body, url, self._stream, self._clock() + self._ahead)

    def _fetch(self) -> None:
        file = self.files.open(self._url)
        try:
            answer: Any = file.answer
            if answer is None:
                raise self.files.failure or _refused(self._stream, "the server's answer is empty", "check the address")
            parts: list[bytes] = []
            while sum(map(len, parts)) <= MANIFEST_BYTES and (part := file.read()):
                parts.append(part)
            if self.files.broke is not None:
                why = f"the DASH manifest broke off ({self.files.broke})"
                raise _refused(self._stream, why, "check the server and the network")
            self._follow_clock(answer.headers.get("Date"))
            self._document = b"".join(parts), str(answer.geturl())
            self._fetched_at = time.monotonic()
        finally:
            file.close()

    def _follow_clock(self, date: str | None) -> None:
        if date is None:
            return
        try:
            ahead = parsedate_to_datetime(date).timestamp() - self._clock()
        except ValueError:
            return
        self._ahead = ahead if abs(ahead) > _CLOCK_SECONDS else 0.0


def _map_range(span: tuple[int, int] | None) -> str:
    return "" if span is None else f',BYTERANGE="{span[1] - span[0]}@{span[0]}"'
