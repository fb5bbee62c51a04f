"""One input: opened, demuxed, and put on the media clock.

A `Source` belongs to the one thread that opens and reads it. Only `stop` may be called from other threads: it makes a
blocking open or read end within a fraction of a second. If the reader dies, nothing else holds the input; dropping
the `Source` closes it. Every failure is a SourceError: raised by `open`, kept in `error` where reading broke off.
"""

import contextlib
import errno
import http.client
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any, Final

import av
import av.error
from av.container import Flags
from av.stream import Discard, Disposition

from engine.errors import SourceError
from engine.ingest import classify, interrupt
from engine.ingest.after_silence import AfterSilence
from engine.ingest.base import RawBytes
from engine.ingest.causes import cause_of
from engine.ingest.clock import MediaClock
from engine.ingest.dash import MASTER_URL, DashPlaylists
from engine.ingest.declared_breaks import DeclaredBreaks
from engine.ingest.http_files import HttpBytes, HttpFiles
from engine.ingest.playlist_progress import PlaylistProgress
from engine.ingest.raw_bytes import TAPPED_SCHEMES, FileBytes, NetworkBytes, TappedBytes
from engine.ingest.renditions import Rendition, choose, rules
from engine.ingest.srt import SrtBytes
from engine.ingest.url_policy import UrlPolicy, is_local, local_path, open_options, redact, scheme_of
from engine.media import AudioInfo, Packet, StreamInfo, Track, VideoInfo

_PICTURES: Final = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
_PLAYLIST_SUFFIXES: Final = (".m3u8", ".m3u")
_MANIFEST_SUFFIXES: Final = (".mpd",)
_WITH_PLAYLIST: Final = ("hls", "dash")
_TRANSPORT_STREAM_SUFFIXES: Final = (".ts", ".m2ts", ".mts")
# A demuxer that only ever fails must end; one that finds its way again after some damage may go on.
_MAX_FAILED_READS: Final = 16
_TRUNCATED_BYTES: Final = 1 << 16
_MAX_PROBLEMS: Final = 100
_MAX_NESTED_PLAYLISTS: Final = 8
_TARGET_DURATION: Final = re.compile(rb"^#EXT-X-TARGETDURATION:\s*(\d{1,4})", re.MULTILINE)
# A live packager adds a segment within one and a half target durations (RFC 8216, section 6.2.2); twice that much
# without one means that it has stopped.
HELD_TARGETS: Final = 3.0
READ_TIMEOUT_SECONDS: Final = 10.0
_PROBE_SECONDS: Final = 2.0


class Source:
    """Reads one file or URL as packets of its best video and its best audio track.

    Args:
        url: a path, or a URL whose scheme the policy allows.
        stream: the stream's id; its address with the secrets hidden if not given.
        policy: what may be opened.
        open_timeout_seconds: limit for connecting and finding the tracks.
        read_timeout_seconds: limit for the next packet to arrive.
        rendition: which variant of a master playlist or manifest is read; see `renditions.choose`.
    """

    def __init__(
        self,
        url: str,
        *,
        stream: str | None = None,
        policy: UrlPolicy | None = None,
        open_timeout_seconds: float = 10.0,
        read_timeout_seconds: float = READ_TIMEOUT_SECONDS,
        rendition: str = "best",
    ) -> None:
        self.stream = redact(url) if stream is None else stream
        self.error: SourceError | None = None
        """Why reading broke off; None while it goes on, after a clean end, and after `stop`."""
        self.problems: list[str] = []
        """What was wrong without ending the reading, one line each, at most 100."""
        self.problem_count = 0
        """All of them, also those beyond the first 100."""
        self.corrupt_packets = 0
        """Packets that the container marks as damaged."""
        self.clock: MediaClock | None = None
        self.breaks = 0
        """Cuts of the timeline; the reader of an input as it is makes none (see ingest/base.py)."""
        self.target_seconds = 0.0
        """Length of a segment of an HLS playlist, whose media comes in bursts so far apart; 0 for all else."""
        self._url = url
        self._policy = policy or UrlPolicy()
        self._open_timeout_seconds = open_timeout_seconds
        self._read_timeout_seconds = read_timeout_seconds
        self._stop = Event()
        self._break_off = Event()  # what libav's blocking calls are watched for: `stop`, or `give_up`
        self._opened = 0
        self._container: Any = None
        self._rendition = rendition
        self._tap: TappedBytes | None = None
        self._files: HttpFiles | None = None  # what libav opens through us, where it does
        self._dash: DashPlaylists | None = None
        self._tracks: list[tuple[Track, Any]] = []
        self._live = False  # as it was opened last
        self.renditions: tuple[str, ...] = ()
        """Rules of the renditions that the input offers, the one that is read first; empty where it has but one."""
        self._progress = PlaylistProgress()
        self._segment: str | None = None  # the newest one of a playlist

    @property
    def is_network(self) -> bool:
        """Whether it lies beyond this machine's files."""
        return not is_local(self._url)

    @property
    def retries_at_once(self) -> bool:
        """Never: what fails here is the source."""
        return False

    @property
    def read_timeout_seconds(self) -> float:
        """The limit for the next packet to arrive; longer where segments are long."""
        return max(self._read_timeout_seconds, HELD_TARGETS * self.target_seconds)

    def open(self, begin: Callable[[], float] | None = None) -> StreamInfo:
        """Open the input and find its tracks. Once closed, it may be opened again.

        Args:
            begin: media seconds at which its first timestamp lies, asked for when the tracks are known; 0 if not given.
        Raises: SourceError: the input is missing, not allowed, not media, or has nothing to judge.
        """
        interrupt.install()
        self.error = None
        self._break_off.clear()
        if self._stop.is_set():
            self._break_off.set()
        self._policy.check(self._url, self.stream)
        deadline = time.monotonic() + self._open_timeout_seconds
        self._check_beforehand()
        self._container = self._open_container(deadline)
        try:
            info = self._describe()
            zero = begin() if begin is not None else 0.0
            if info.container in _WITH_PLAYLIST:
                self.clock = MediaClock(self._container, self._tracks, zero, DeclaredBreaks(self._playlists))
            else:
                self.clock = MediaClock(self._container, self._tracks, zero)
            self._opened += 1
            self._live = info.live
            self._progress.go_on()
        except BaseException:
            self.close()
            raise
        return info

    def _check_beforehand(self) -> None:
        if is_local(self._url):
            path = local_path(self._url)
            head = classify.check_file(path, self.stream)
            if head and classify.sniff(head) == "playlist":
                body = Path(path).read_bytes()[: classify.PLAYLIST_BYTES + 1]
                classify.check_playlist(self._url, body, self.stream, self._policy)
            return
        if scheme_of(self._url) in ("http", "https"):
            path = self._url.split("?", 1)[0].split("#", 1)[0]
            if path.lower().endswith(_PLAYLIST_SUFFIXES):
                self._look_at_playlists()
                if self._live:
                    self._progress.check(self.stream)

    def _look_at_playlists(self) -> None:
        self._progress.begin()
        self._check_playlists(self._url, depth=0)

    def _check_playlists(self, url: str, depth: int) -> None:
        """Check a playlist of the network and those that it names, which must name no further ones."""
        try:
            body, final = classify.fetch(
                url, self.stream, self._policy, classify.PLAYLIST_BYTES + 1, self._open_timeout_seconds
            )
        except (OSError, ValueError) as error:
            raise classify.explain(error, url, self.stream, self._policy, self._open_timeout_seconds) from error
        nested = classify.check_playlist(final, body, self.stream, self._policy)
        if target := _TARGET_DURATION.search(body):
            self.target_seconds = max(self.target_seconds, float(target[1]))
            self._progress.see(body)
            self._segment = self._progress.segment(final)
        if nested and depth:
            raise SourceError(
                "playlist limit exceeded",
                stream=self.stream,
                why="a playlist named by the playlist names further ones",
                remedy="open one variant directly",
            )
        # Some variants may be off the air while others play; libav copes with that.
        for address in nested[:_MAX_NESTED_PLAYLISTS]:
            try:
                self._check_playlists(address, depth + 1)
            except SourceError as error:
                if error.what != "cannot open input":
                    raise
                self._note(error.why)

    def _playlists(self) -> Iterator[bytes]:
        """The playlists as they are now, those that they name after them; a server gets little time to give them."""
        if self._dash is not None:
            yield from (self._dash.playlist(kind).encode() for kind in self._dash.kinds)
            return
        until = time.monotonic() + 2 * _PROBE_SECONDS
        addresses = [self._url]
        for address in addresses:  # grows by those that the first one names
            if len(addresses) > 1 + _MAX_NESTED_PLAYLISTS or time.monotonic() > until or self._break_off.is_set():
                return
            with contextlib.suppress(SourceError, OSError, ValueError):
                if is_local(address):
                    body, final = Path(local_path(address)).read_bytes()[: classify.PLAYLIST_BYTES + 1], address
                else:
                    body, final = classify.fetch(
                        address, self.stream, self._policy, classify.PLAYLIST_BYTES + 1, _PROBE_SECONDS
                    )
                yield body
                if address == self._url:
                    nested = classify.check_playlist(final, body, self.stream, self._policy)
                    addresses += nested[:_MAX_NESTED_PLAYLISTS]

    def _open_container(self, deadline: float) -> Any:
        options = open_options(self._url, self._policy, av.formats_available)
        scheme = scheme_of(self._url)
        try:
            with interrupt.interruptible(self._break_off):
                timeouts = (max(0.1, deadline - time.monotonic()), self.read_timeout_seconds)
                target: Any = self._url
                opener: Any = None
                if scheme == "srt":
                    target = self._tap = SrtBytes(self._url, self.stream, self._policy, timeouts, self._break_off)
                elif scheme in TAPPED_SCHEMES:
                    target = self._tap = NetworkBytes(self._url, options, timeouts)
                elif scheme in ("http", "https"):
                    target, opener = self._over_http(timeouts)
                if self._opened and self.target_seconds:
                    # What came before the break was judged already: no second look at the last three segments.
                    options["live_start_index"] = "-1"
                if opener is not None:
                    options["http_persistent"] = "0"  # connections are libav's own to keep only where it makes them
                container: Any = av.open(
                    target, options=options, timeout=timeouts, metadata_errors="replace", io_open=opener
                )
                # PyAV asks for made-up presentation times (AVI has none); the decoder's own choice is better.
                container.flags &= ~Flags.gen_pts.value
                return container
        except SourceError as error:
            self._close_tap()
            if self._stop.is_set():
                raise self._stopped() from error
            raise
        except (av.error.FFmpegError, OSError, ValueError) as error:
            failure = self._files.failure if self._files is not None else None
            self._close_tap()
            if failure is not None and not self._stop.is_set():
                raise failure from error
            if self._stop.is_set():
                raise self._stopped() from error
            self._look_at_segment()
            if time.monotonic() >= deadline and self.is_network:
                error = TimeoutError()  # libav calls it an error of input and output where RTMP stays silent
            raise classify.explain(error, self._url, self.stream, self._policy, self._open_timeout_seconds) from error

    def _look_at_segment(self) -> None:
        """Why a playlist that is there does not play: libav only goes on to the next segment.

        Raises: SourceError where the server refuses its newest one.
        """
        if self._segment is None:
            return
        try:
            with contextlib.suppress(OSError, ValueError):
                classify.fetch(self._segment, self.stream, self._policy, 1, _PROBE_SECONDS)
        except SourceError as error:
            raise SourceError(
                error.what,
                stream=self.stream,
                why=f"none of the playlist's segments can be opened: {error.why}",
                remedy="check whether the packager still writes where the server looks",
            ) from error

    def _over_http(self, timeouts: tuple[float, float]) -> tuple[Any, Any]:
        """What libav is to open of an HTTP address, and who opens what that names: we, where libav must not, or cannot.

        Raises: SourceError for a manifest that cannot be played.
        """
        is_manifest = self._path().endswith(_MANIFEST_SUFFIXES)
        is_transport_stream = self._path().endswith(_TRANSPORT_STREAM_SUFFIXES)
        if self._policy.allow_private and not (is_manifest or is_transport_stream):
            return self._url, None
        self._files = HttpFiles(self.stream, self._policy, timeouts)
        if is_transport_stream:
            file = self._files.open(self._url)
            if self._files.failure is not None:
                raise self._files.failure
            if file.length is None:  # it has no end: its packets can be watched, and nobody seeks in it
                self._tap = HttpBytes(file)
                return self._tap, None
            file.close()
            if self._policy.allow_private:
                return self._url, None
        if is_manifest:
            self._dash = DashPlaylists(self._url, self.stream, self._files, self._rendition)
            self.target_seconds = self._dash.target_seconds if self._dash.live else 0.0
            if len(offered := self._dash.renditions()) > 1:
                self.renditions = rules(offered, choose(offered, self._rendition))
            return MASTER_URL, self._dash
        if self._path().endswith(_PLAYLIST_SUFFIXES):
            return self._url, self._files
        file = self._files.open_seekable(self._url)
        if self._files.failure is not None:
            raise self._files.failure
        return file, None

    def _path(self) -> str:
        return self._url.split("?", 1)[0].split("#", 1)[0].lower()

    def _describe(self) -> StreamInfo:
        container = self._container
        video = self._best("video")
        audio = self._best("audio")
        if video is not None:
            video, audio = self._rendered(video, audio)
        self._tracks = [(kind, s) for kind, s in (("video", video), ("audio", audio)) if s is not None]  # type: ignore[misc]
        if not self._tracks:
            raise self._nothing_to_judge()
        if video is not None and video.codec_context.width * video.codec_context.height > self._policy.max_pixels:
            raise SourceError(
                "resolution over limit",
                stream=self.stream,
                why=f"{video.codec_context.width}x{video.codec_context.height} pictures; "
                f"{self._policy.max_pixels} pixels are allowed",
                remedy="raise the limit, or send a smaller picture",
            )
        chosen = {s.index for _, s in self._tracks}
        for s in container.streams:
            if s.index not in chosen:
                s.discard = Discard.all
        duration = None if container.duration is None or container.duration <= 0 else container.duration / 1e6
        return StreamInfo(
            stream=self.stream,
            container=container.format.name if self._dash is None else "dash",
            duration=duration,
            live=duration is None and not is_local(self._url),
            video=None if video is None else _video_info(video),
            audio=None if audio is None else _audio_info(audio),
        )

    def _best(self, kind: Track) -> Any:
        """libav's best decodable track of a kind. A cover picture is not a video track."""
        streams = self._container.streams
        usable = []
        for s in getattr(streams, kind):
            if s.disposition & _PICTURES:
                continue
            if s.codec_context is None:
                self._note(f"{kind} track {s.index} cannot be decoded: {_codec_tag(s)}")
                continue
            usable.append(s)
        best = streams.best(kind)
        return best if best in usable else next(iter(usable), None)

    def _rendered(self, video: Any, audio: Any) -> tuple[Any, Any]:
        """Of an HLS master playlist's variants the one that is asked for, with the sound of that variant."""
        streams = self._container.streams
        several = [s for s in streams.video if "variant_bitrate" in s.metadata and s.codec_context is not None]
        if len(several) < 2:
            return video, audio
        offered = [
            Rendition("", s.codec_context.width, s.codec_context.height, int(s.metadata["variant_bitrate"]))
            for s in several
        ]
        index = choose(offered, self._rendition)
        self.renditions = rules(offered, index)
        video = several[index]
        rate = video.metadata["variant_bitrate"]
        # Sound within the variant's own segments; of sound that all variants share libav's best is the one.
        own = [s for s in streams.audio if s.metadata.get("variant_bitrate") == rate and s.codec_context is not None]
        return video, own[0] if own and audio not in own else audio

    def _nothing_to_judge(self) -> SourceError:
        if self.problems:
            return SourceError(
                "cannot decode input",
                stream=self.stream,
                why=f"unknown codec ({'; '.join(self.problems)})",
                remedy="re-encode it, or use a codec that `avjury doctor` lists",
            )
        kinds = sorted({s.type for s in self._container.streams})
        return SourceError(
            "nothing to judge in input",
            stream=self.stream,
            why=f"it has no video and no audio track ({'only ' + ', '.join(kinds) if kinds else 'no track at all'})",
            remedy="name an input with pictures or sound",
        )

    def packets(self, after_silence: Callable[[], float | None] | None = None) -> Iterator[Packet]:
        """The packets of the chosen tracks in the order in which the container has them, until its end.

        A payload's own timestamps are moved onto the timeline without jumps, so that a decoder's pictures, which come
        in another order, need no bookkeeping: their time is `timestamp * time_base + offset`.

        Ends cleanly, with `error` None, at the end of the input and after `stop`. Where reading breaks off, it ends
        with `error` set; damage that can be read over is in `problems`.

        Args:
            after_silence: asked at each packet; media seconds at which the timeline has to go on where a silence was
                told as such already, None where there was none. Timestamps that do not show the silence are moved.
        """
        clock = self.clock
        if self._container is None or clock is None:
            raise RuntimeError("open() comes first")
        stop, stream = self._stop, self.stream
        kinds = {s.index: kind for kind, s in self._tracks}
        tracks = [s for _, s in self._tracks]
        demux = self._container.demux(tracks)
        failed = position = 0
        grown = False
        watch, place, break_off = interrupt.watch, clock.place, self._break_off
        silence: AfterSilence[_Placed] = AfterSilence(after_silence, _time_of)
        try:
            while not stop.is_set():
                watch(break_off)
                try:
                    payload = next(demux)
                except StopIteration:
                    if self._tap is not None and self._files is not None and self._files.broke is not None:
                        # To the demuxer, what comes through us just ended.
                        self.error = self._read_error(self._files.broke)
                    return
                except av.error.InvalidDataError as error:
                    failed += 1
                    self._note(f"damaged container ({redact(error.strerror or 'invalid data')})")
                    if failed > _MAX_FAILED_READS:
                        if not self._near_end(position):
                            self.error = self._broken("the container is too damaged to read on", error)
                        return
                    demux = self._container.demux(tracks)
                    continue
                except IndexError:
                    # libav met a track that was not there at the start (a new, or a damaged PMT); PyAV 18 knows only
                    # those of the start, and gives up at each packet of it.
                    if not grown:
                        grown = True
                        self._note("a track was added on the way; it is not judged")
                    demux = self._container.demux(tracks)
                    continue
                except (av.error.FFmpegError, OSError) as error:
                    if not stop.is_set():
                        self.error = self._read_error(error)
                    return
                if not payload.size:
                    continue  # what PyAV yields at the end, so that decoders flush; whoever decodes does that here
                failed = 0
                position = payload.pos or position
                given, late = silence.take((payload, *place(payload)))
                if late:
                    clock.delay(late)
                for each, shown, decoded in given:
                    corrupt = each.is_corrupt
                    if corrupt:
                        self.corrupt_packets += 1
                    yield Packet(
                        stream,
                        kinds[each.stream_index],
                        None if shown is None else shown + late,
                        None if decoded is None else decoded + late,
                        clock.origin,
                        each.size,
                        each.is_keyframe,
                        corrupt,
                        each,
                        each.pos,
                    )
        finally:
            interrupt.unwatch()

    def raw_bytes(self) -> RawBytes | None:
        """The bytes of a transport stream below the demuxer; the caller closes them. None where they cannot be had."""
        if self._container is None or self._container.format.name != "mpegts":
            if self._tap is not None:
                self._tap.forget()
            return None
        if not is_local(self._url):
            return self._tap  # None over HTTP
        try:
            return FileBytes(local_path(self._url))
        except OSError as error:
            self._note(f"cannot watch the transport stream's packets ({error.strerror})")
            return None

    def why_ended(self) -> str:
        """One word for why a live source's packets ended; may ask its server. Only from the thread that reads it."""
        if self.error is not None:
            return cause_of(self.error)
        if self._break_off.is_set():
            return "timeout"
        if self._files is not None and self._files.failure is not None:
            return cause_of(self._files.failure)
        if self._dash is not None:
            return "stalled_playlist" if self._dash.live else "ended"
        if scheme_of(self._url) not in ("http", "https") or not self._path().endswith(_PLAYLIST_SUFFIXES):
            return "ended"
        try:
            self._look_at_playlists()
        except SourceError as error:
            return cause_of(error)
        self._progress.lose()
        return "ended" if self._progress.ended else "stalled_playlist"

    def stop(self) -> None:
        """End a blocking `open` or read soon. From any thread; the reader still has to close the source."""
        self._stop.set()
        self.give_up()

    def give_up(self) -> None:
        """End a read that blocks for longer than its limit, which libav does inside a segment. From any thread."""
        self._break_off.set()
        files = self._files
        if files is not None:
            files.abort()

    def close(self) -> None:
        """Close the input. Only from the thread that reads it, or after that has ended. Idempotent.

        The tracks' `handle`s are libav's memory and are gone then; decoders made before stay usable.
        """
        container, self._container = self._container, None
        self._tracks = []
        if container is not None:
            container.close()
        self._close_tap()

    def _close_tap(self) -> None:
        tap, self._tap = self._tap, None
        if tap is not None:
            tap.close()
        files, self._files = self._files, None
        if files is not None:
            files.close()
        self._dash = None

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _near_end(self, position: int) -> bool:
        """Whether a byte position is so near to the end of a file that a failure there means that the file was cut."""
        if not is_local(self._url):
            return False
        return Path(local_path(self._url)).stat().st_size - position < _TRUNCATED_BYTES

    def _note(self, problem: str) -> None:
        self.problem_count += 1
        if len(self.problems) < _MAX_PROBLEMS:
            self.problems.append(problem)

    def _stopped(self) -> SourceError:
        return SourceError(
            "opening was given up",
            stream=self.stream,
            why="it was told to stop",
            remedy="start it again if it is wanted",
        )

    def _read_error(self, error: Exception) -> SourceError:
        if isinstance(error, av.error.ExitError | TimeoutError):
            return self._broken(f"no data for {self.read_timeout_seconds:g} s", error)
        # Over HTTP, libav tells an answer that was cut short as an error of input and output.
        if isinstance(error, ConnectionError | http.client.IncompleteRead) or (
            getattr(error, "errno", 0) == errno.EIO and self.is_network
        ):
            return self._broken("the connection broke", error)
        return self._broken(redact(getattr(error, "strerror", None) or str(error)), error)

    def _broken(self, why: str, cause: Exception) -> SourceError:
        remedy = (
            "the file's disk or the file itself is damaged; what came before is judged"
            if is_local(self._url)
            else "check the sender and the network; what came before is judged"
        )
        error = SourceError("reading broke off", stream=self.stream, why=why, remedy=remedy)
        error.__cause__ = cause
        return error


_Placed = tuple[Any, float | None, float | None]  # libav's packet, its presentation and its decoding time


def _time_of(placed: _Placed) -> float | None:
    _, pts, dts = placed
    return pts if dts is None else dts


def _codec_tag(stream: Any) -> str:
    """What the container calls the codec of a track that libav has no decoder for."""
    try:
        name = stream.codec.name
    except AttributeError:
        name = ""
    return name or f"track type {stream.type}, codec not known to libav"


# libav's AVFieldOrder: TT and BB. The other two, of fields that are not shown as they are stored, mean one thing to
# muxers and another to demuxers.
_TOP_FIELD_FIRST: Final = {2: True, 3: False}


def _video_info(stream: Any) -> VideoInfo:
    context = stream.codec_context
    pixels = context.format
    rate = stream.average_rate or stream.guessed_rate
    return VideoInfo(
        codec=context.name if context.codec.canonical_name == "" else context.codec.canonical_name,
        profile=stream.profile or "",
        width=context.width,
        height=context.height,
        pixel_format=pixels.name if pixels is not None else "",
        bit_depth=max((c.bits for c in pixels.components), default=0) if pixels is not None else 0,
        frame_rate=float(rate) if rate else None,
        interlaced=context.field_order > 1,
        handle=stream,
        top_field_first=_TOP_FIELD_FIRST.get(context.field_order),
    )


def _audio_info(stream: Any) -> AudioInfo:
    context = stream.codec_context
    layout = context.layout
    return AudioInfo(
        codec=context.codec.canonical_name or context.name,
        sample_rate=context.sample_rate or 0,
        layout=layout.name if layout is not None else "",
        channels=layout.nb_channels if layout is not None else 0,
        handle=stream,
    )
