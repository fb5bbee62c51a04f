"""HLS playlists and their segments for libav's HLS demuxer, which asks here for all that it opens.

So the addresses are checked, one variant of a master playlist is chosen before anything of the others is fetched, each
segment is fetched once and its bytes can be watched below the demuxer, and of each packet it is known whether a break
was announced before it. libav is given the playlists with addresses of ours, which name the playlist and the segment;
what is encrypted as a whole is decrypted here.

Belongs to the reader's thread. What cannot be had reads as empty, as libav then goes on with the next segment.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from engine.errors import SourceError
from engine.ingest import classify
from engine.ingest.decryption import KEY_BYTES, Decrypted
from engine.ingest.followed_list import Body, FollowedList
from engine.ingest.playlist import (
    IDENTITY,
    SAMPLES,
    WHOLE,
    Initial,
    Key,
    MasterPlaylist,
    Segment,
    Sound,
    Span,
    Variant,
    is_master,
    parse_master,
    parse_media,
)
from engine.ingest.renditions import choose, rules
from engine.ingest.segments import Segments
from engine.ingest.url_policy import UrlPolicy, is_local

_BASE: Final = "http://playlist.invalid/"
_MASTER: Final = f"{_BASE}master.m3u8"
_LIST: Final = re.compile(r"(\d+)\.m3u8\Z")
_PART: Final = re.compile(r"(\d+)/([nik])(\d+)")
_SUFFIX: Final = re.compile(r"\.[A-Za-z0-9]{1,5}\Z")
_MOST_LISTS: Final = 9
# Initial sections and keys come again with each look at a live playlist.
_REMEMBERED_BYTES: Final = 1 << 20
_REMEMBERED: Final = 16
_NAME: Final = "avjury"


class Readable(Protocol):
    """A resource that is read forward."""

    def read(self, size: int = ...) -> bytes: ...
    def close(self) -> None: ...


class Files(Protocol):
    """Where resources are had from; see ingest/http_files.py and ingest/local_files.py."""

    failure: SourceError | None
    broke: Exception | None
    read_seconds: float

    def open(self, url: str, span: Span | None = None) -> Readable: ...
    def fetch(self, url: str, limit: int) -> Body: ...


class HlsFiles:
    """An HLS input. To be handed to `av.open` as `io_open`, with `address`.

    Args:
        stream: the stream's id, for errors.
        policy: says what playlists may name.
        files: opens what they name.
    """

    def __init__(self, stream: str, policy: UrlPolicy, files: Files) -> None:
        self.renditions: tuple[str, ...] = ()
        """Rules of the variants, the chosen one first; empty where there is but one, or they do not say their size."""
        self.problems: list[str] = []
        """What was wrong and not in the way."""
        self.failure: SourceError | None = None
        """Why the last segment could not be had; None once one could."""
        self.lost: SourceError | None = None
        """Why reading cannot go on, of which libav knows nothing: a playlist that is gone, a segment that hangs."""
        self.from_end = 3
        """Where reading begins in a live playlist, in segments from its end (RFC 8216, 6.3.3)."""
        self._stream, self._policy, self._files = stream, policy, files
        self._lists: list[FollowedList] = []
        self._master = ""
        self._remembered: dict[tuple[str, Span | None], bytes] = {}
        self._newest: _Opened | None = None
        self._first: FollowedList | None = None  # that the first track comes from

    @property
    def address(self) -> str:
        """What libav is to open."""
        return _MASTER if self._master else f"{_BASE}0.m3u8"

    @property
    def goes_on(self) -> bool:
        """Whether what libav takes for the end is a break, behind which it has to open `address` anew."""
        return self._first is not None and self._first.cut_at is not None

    def go_on(self) -> None:
        """From now on, what comes behind the break is read."""
        self._newest = None
        for one in self._lists:
            one.go_on()

    def serve(self, master: str, lists: Mapping[str, Callable[[], Body]]) -> None:
        """Take playlists that were made here, and whose addresses are known to be right.

        Args:
            master: naming each of the others as "NAME.m3u8".
            lists: what gives them, by name; the first one's bytes can be watched.
        """
        for name, get in lists.items():
            master = master.replace(f"{name}.m3u8", f"{_BASE}{len(self._lists)}.m3u8")
            master = master.replace(f'NAME="{name}"', f'NAME="{_NAME}{len(self._lists)}"')
            self._lists.append(FollowedList(get, keeping=not self._lists))
        self._master = master

    def open(self, url: str, rendition: str) -> list[Body]:
        """Fetch a playlist, choose, and fetch what was chosen.

        Args:
            rendition: which variant; see `renditions.choose`.
        Returns: the media playlists that will be read.
        Raises: SourceError.
        """
        body, final = self._files.fetch(url, classify.PLAYLIST_BYTES + 1)
        classify.expect_playlist(body, self._stream)
        text = body.decode("utf-8", "replace")
        if is_master(text):
            self._policy.check_playlist(final, text, self._stream)
            return self._choose(parse_master(text, final), rendition)
        found = FollowedList(self._fetching(url), keeping=True)
        self._check(body, final)
        self._lists.append(found)
        return [found.look((body, final))]

    def look(self) -> list[Body]:
        """The media playlists as they are now. Raises: SourceError."""
        return [each.look() for each in self._lists]

    def _fetching(self, url: str) -> Callable[[], Body]:
        def fetch() -> Body:
            body, final = self._files.fetch(url, classify.PLAYLIST_BYTES + 1)
            if is_local(final):  # addresses of the network are checked when they are opened
                self._policy.check_playlist(final, body.decode("utf-8", "replace"), self._stream)
            return body, final

        return fetch

    def _check(self, body: bytes, url: str) -> None:
        """Refuse a media playlist that names what it may not, or that cannot be decrypted."""
        classify.expect_playlist(body, self._stream)
        text = body.decode("utf-8", "replace")
        if is_master(text):
            self._policy.check_playlist(url, text, self._stream)
            raise SourceError(
                "playlist limit exceeded",
                stream=self._stream,
                why="a playlist named by the playlist names further ones",
                remedy="open one variant directly",
            )
        keys = [segment.key for segment in parse_media(text, url).segments]
        locked = [key for key in keys if key is not None and not _can_be_had(key)]
        if keys and len(locked) == len(keys):
            raise self._refused(
                f"its media is encrypted ({locked[0].method}, {locked[0].form})", "name an address without DRM"
            )
        self._policy.check_playlist(url, text, self._stream)

    def _choose(self, master: MasterPlaylist, rendition: str) -> list[Body]:
        """Take the variant that is asked for, or the next best one where that is off the air."""
        with_pictures = [variant for variant in master.variants if variant.may_have_pictures]
        left = with_pictures or list(master.variants)
        if with_pictures and len(left) > 1 and not all(variant.rendition.height for variant in left):
            # Only a look into the segments says which one is which: libav's, which opens them all.
            return self._take(left[: _MOST_LISTS - 1], master.sounds)
        while True:
            offered = [variant.rendition for variant in left]
            index = choose(offered, rendition)
            try:
                bodies = self._take([left[index]], master.sounds)
            except SourceError as error:
                if error.what != "cannot open input" or len(left) == 1:
                    raise
                self.problems.append(error.why)
                del left[index]
                continue
            self.renditions = rules(offered, index) if len(offered) > 1 else ()
            return bodies

    def _take(self, variants: Sequence[Variant], sounds: Sequence[Sound]) -> list[Body]:
        """Fetch variants and their sound, and write a master playlist of them.

        Raises: SourceError where not one of the variants can be had.
        """
        lists: list[FollowedList] = []
        bodies: list[Body] = []
        lines = ["#EXTM3U"]

        def add(url: str, *, keeping: bool) -> int:
            made = FollowedList(self._fetching(url), keeping=keeping)
            body = made.look()
            self._check(*body)
            lists.append(made)
            bodies.append(body)
            return len(lists) - 1

        failure: SourceError | None = None
        groups: set[str] = set()
        for variant in variants:
            try:
                number = add(variant.url, keeping=True)
            except SourceError as error:
                if error.what != "cannot open input":
                    raise
                failure = error
                continue
            lists[number].bandwidth = variant.rendition.bits_per_second
            groups.add(variant.sound)
            group = f',AUDIO="{variant.sound}"' if variant.sound else ""
            lines += [f"#EXT-X-STREAM-INF:BANDWIDTH={variant.rendition.bits_per_second}{group}",
                      f"{_BASE}{number}.m3u8"]  # fmt: skip
        if not lists:
            raise failure or self._refused("the playlist names no variant", "check the packager")
        for sound in sounds:
            if sound.group not in groups or not sound.url or len(lists) >= _MOST_LISTS:
                continue
            try:
                number = add(sound.url, keeping=False)
            except SourceError as error:
                if error.what != "cannot open input":
                    raise
                self.problems.append(error.why)
                continue
            name = f'TYPE=AUDIO,GROUP-ID="{sound.group}",NAME="{_NAME}{number}"'
            rest = f",{sound.line}" if sound.line else ""
            lines.insert(1, f'#EXT-X-MEDIA:{name}{rest},URI="{_BASE}{number}.m3u8"')
        self._lists = lists
        self._master = "\n".join([*lines, ""])
        return bodies

    def __call__(self, url: str, flags: int, options: Mapping[str, Any]) -> Any:
        """Open for libav what it names by an address of ours; see `av.open`."""
        name = url.removeprefix(_BASE)
        if self.lost is not None:
            return io.BytesIO(b"")  # libav would go on with the next segment
        if url == _MASTER:
            return io.BytesIO(self._master.encode())
        try:
            if (match := _LIST.fullmatch(name)) is not None:
                return io.BytesIO(self._list(int(match[1])).encode())
            if (match := _PART.match(name)) is not None:
                return self._part(int(match[1]), match[2], int(match[3]))
            raise self._refused("a playlist names no address of ours", "this is a bug; please report it")
        except SourceError as error:
            self._files.failure = error
            return io.BytesIO(b"")

    def _list(self, number: int) -> str:
        """A media playlist as libav is to see it."""
        one = self._lists[number]
        try:
            playlist = one.take()
        except SourceError as error:
            self.lost = error
            raise
        shown = one.stretch(playlist, self.from_end, alone=len(self._lists) == 1)
        return playlist.told(
            shown,
            lambda segment: f"{_BASE}{number}/n{segment.number}{_suffix(segment.url)}",
            lambda initial: f"{_BASE}{number}/i{one.initial(initial)}{_suffix(initial.url)}",
            lambda key: f"{_BASE}{number}/k{one.key(key)}",
            ended=playlist.ended or one.cut_at is not None,
        )

    def _part(self, number: int, kind: str, index: int) -> Any:
        one = self._lists[number]
        found = one.find(kind, index)
        if isinstance(found, Segment):
            broken, self._newest = self._newest is not None and self._newest.broken(one), None
            one.enter(found, broken=broken)
            try:
                file = self._readable(found.url, found.span, found.key, found.number)
            except SourceError as error:
                self._files.failure = error
                file = io.BytesIO(b"")
            self.failure = None if self._files.failure is None else _of_segments(self._files.failure)
            self._newest = _Opened(file, one, self._hangs if self.failure is None else None)
            return self._newest
        if isinstance(found, Initial):
            data = self._remember(found.url, found.span, found.key)
            return _Opened(io.BytesIO(data), one, lambda: False)
        if isinstance(found, Key):
            return io.BytesIO(self._secret(found))
        raise self._refused(
            "a segment that left the playlist was asked for", "this is a bug in avjury; please report it"
        )

    def _hangs(self) -> bool:
        """Whether the last answer broke off; where that was because nothing came, nothing more is read."""
        if isinstance(self._files.broke, TimeoutError):
            why = f"no data for {self._files.read_seconds:g} s"
            self.lost = SourceError("reading broke off", stream=self._stream, why=why, remedy="check the server")
        return self._files.broke is not None

    def _readable(self, url: str, span: Span | None, key: Key | None, number: int) -> Readable:
        """A resource in the clear.

        Args:
            number: of the segment, which stands for an initialisation vector that is not named.
        """
        if key is not None and not _can_be_had(key):
            raise self._refused(f"its media is encrypted ({key.method}, {key.form})", "name an address without DRM")
        secret = self._secret(key) if key is not None and key.method == WHOLE else None
        file = self._files.open(url, span)
        if secret is None or key is None:
            return file
        return Decrypted(file, secret, key.iv if key.iv is not None else number.to_bytes(KEY_BYTES, "big"))

    def _secret(self, key: Key) -> bytes:
        """Raises: SourceError where the key cannot be had."""
        secret = self._remember(key.url, None, None)
        if len(secret) == KEY_BYTES:
            return secret
        self._remembered.pop((key.url, None), None)
        raise self._refused(
            f"the key of its encrypted segments has {len(secret)} bytes, and not {KEY_BYTES}",
            "check what the key's address answers",
        )

    def _remember(self, url: str, span: Span | None, key: Key | None) -> bytes:
        """Something small that is asked for again and again. Raises: SourceError."""
        known = self._remembered.get((url, span))
        if known is not None:
            return known
        file = self._readable(url, span, key, 0)
        try:
            data = b"".join(iter(file.read, b""))
        finally:
            file.close()
        if not data or self._files.broke is not None:
            raise self._files.failure or self._refused("a key or a header of its segments is empty", "check the server")
        if len(data) <= _REMEMBERED_BYTES:
            self._remembered[url, span] = data
            while len(self._remembered) > _REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
        return data

    def segments(self, track: Any) -> Segments | None:
        """What is read of the playlist that a track comes from; None where that is not known.

        Args:
            track: libav's.
        """
        found = self._list_of(track)
        return found.segments if found is not None else None

    def watch(self, track: Any) -> Segments | None:
        """Keep the bytes of one track's playlist only, where they are a transport stream's; and end where it ends.

        Args:
            track: libav's.
        Returns: what is kept.
        """
        self._first = self._list_of(track)
        kept = self._first.segments if self._first is not None else None
        kept = kept if kept is not None and kept.of_transport_stream else None
        for one in self._lists:
            if one.segments is not kept:
                one.segments.close()
        return kept

    def _list_of(self, track: Any) -> FollowedList | None:
        name = track.metadata.get("comment", "")
        if name.startswith(_NAME) and name.removeprefix(_NAME).isdecimal():
            number = int(name.removeprefix(_NAME))
            return self._lists[number] if number < len(self._lists) else None
        rate = track.metadata.get("variant_bitrate", "")
        variants = [one for one in self._lists if one.bandwidth is not None] or self._lists[:1]
        if len(variants) > 1:
            variants = [one for one in variants if str(one.bandwidth) == rate]
        return variants[0] if len(variants) == 1 else None

    def _refused(self, why: str, remedy: str) -> SourceError:
        return SourceError("cannot open input", stream=self._stream, why=why, remedy=remedy)


class _Opened:
    """A resource that libav reads, counted as a part of its playlist.

    Args:
        file: its content.
        of: the playlist.
        broke: asked at its end whether that is none; None where it could not be had.
    """

    def __init__(self, file: Readable, of: FollowedList, broke: Callable[[], bool] | None) -> None:
        self._file, self._of, self._broke = file, of, broke
        self._whole = False

    def read(self, size: int = -1) -> bytes:
        """The next bytes; nothing at the end."""
        data = self._file.read(size)
        if data:
            self._of.segments.add(data)
        else:
            self._whole = self._broke is not None and not self._broke()
        return data

    def broken(self, of: FollowedList) -> bool:
        """Whether not all of it was read, of that playlist."""
        return self._of is of and not self._whole

    def close(self) -> None:
        """Close it. Idempotent."""
        self._file.close()


def _can_be_had(key: Key) -> bool:
    return key.method in (WHOLE, SAMPLES) and key.form == IDENTITY and bool(key.url)


def _of_segments(error: SourceError) -> SourceError:
    """Why a playlist that is there does not play: libav only goes on to the next segment."""
    return SourceError(
        error.what,
        stream=error.stream,
        why=f"none of the playlist's segments can be opened: {error.why}",
        remedy="check whether the packager still writes where the server looks",
    )


def _suffix(url: str) -> str:
    match = _SUFFIX.search(url.partition("?")[0].partition("#")[0])
    return match[0] if match else ""
