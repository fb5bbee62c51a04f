"""One input: opened, demuxed, and put on the media clock.

A `Source` belongs to the one thread that opens and reads it. Only `stop` may be called from other threads: it makes a
blocking open or read end within a fraction of a second. If the reader dies, nothing else holds the input; dropping
the `Source` closes it. Every failure is a SourceError: raised by `open`, kept in `error` where reading broke off.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Any, Final

import av.error

from engine.errors import SourceError
from engine.ingest import classify, interrupt
from engine.ingest.after_silence import AfterSilence
from engine.ingest.base import RawBytes
from engine.ingest.causes import cause_of
from engine.ingest.clock import MediaClock
from engine.ingest.open_input import OpenInput
from engine.ingest.playlist_progress import PlaylistProgress
from engine.ingest.read_errors import broken, read_error
from engine.ingest.tracks import TrackChoice, Tracks
from engine.ingest.url_policy import UrlPolicy, is_local, local_path, redact
from engine.media import Packet, StreamInfo

# A demuxer that only ever fails must end; one that finds its way again after some damage may go on.
_MAX_FAILED_READS: Final = 16
_TRUNCATED_BYTES: Final = 1 << 16
_MAX_PROBLEMS: Final = 100
_TARGET_DURATION: Final = re.compile(rb"^#EXT-X-TARGETDURATION:\s*(\d{1,4})", re.MULTILINE)
# A live packager adds a segment within one and a half target durations (RFC 8216, section 6.2.2); twice that much
# without one means that it has stopped.
HELD_TARGETS: Final = 3.0
READ_TIMEOUT_SECONDS: Final = 10.0


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
        self.goes_on = False
        """The packets have ended at an announced break, behind which other tracks are; the next `open` finds them."""
        self._url = url
        self._policy = policy or UrlPolicy()
        self._open_timeout_seconds = open_timeout_seconds
        self._read_timeout_seconds = read_timeout_seconds
        self._stop = Event()
        self._break_off = Event()  # what libav's blocking calls are watched for: `stop`, or `give_up`
        self._opened = 0
        self._rendition = rendition
        self._input: OpenInput | None = None
        self._tracks: Tracks = []
        self._live = False  # as it was opened last
        self.renditions: tuple[str, ...] = ()
        """Rules of the renditions that the input offers, the one that is read first; empty where it has but one."""
        self._progress = PlaylistProgress()

    @property
    def is_network(self) -> bool:
        """Whether it lies beyond this machine's files."""
        return not is_local(self._url)

    @property
    def thinned(self) -> bool:
        """Whether most of its packets are left out: never."""
        return False

    @property
    def retries_at_once(self) -> bool:
        """Never: what fails here is the source."""
        return False

    @property
    def read_timeout_seconds(self) -> float:
        """The limit for the next packet to arrive; longer where segments are long."""
        return max(self._read_timeout_seconds, HELD_TARGETS * self.target_seconds)

    def open(self, begin: Callable[[], float] | None = None) -> StreamInfo:
        """Open the input and find its tracks. Once closed, or where it goes on, it may be opened again.

        Args:
            begin: media seconds at which its first timestamp lies, asked for when the tracks are known; 0 if not given.
        Raises: SourceError: the input is missing, not allowed, not media, or has nothing to judge.
        """
        interrupt.install()
        self.error = None
        self._break_off.clear()
        if self._stop.is_set():
            self._break_off.set()
        deadline = time.monotonic() + self._open_timeout_seconds

        def timeouts() -> tuple[float, float]:
            return max(0.1, deadline - time.monotonic()), self.read_timeout_seconds

        going_on, self.goes_on = self.goes_on, False
        try:
            opened = self._input
            if opened is None or not going_on:
                self._policy.check(self._url, self.stream)
                opened = OpenInput(
                    self._url, self.stream, self._policy, self._rendition, self._open_timeout_seconds, self._break_off
                )
                self._input = opened
                self._see(opened.look(timeouts()))
                for problem in opened.problems:
                    self._note(problem)
            newest = self._opened > 0 and self.target_seconds > 0 and self.is_network
            # What came before a break was judged already: no second look at the last three segments.
            opened.open(timeouts(), newest=newest, going_on=going_on)
            info = self._describe(opened)
            zero = begin() if begin is not None else 0.0
            self.clock = MediaClock(opened.container, self._tracks, zero, opened.periods())
        except BaseException as error:
            self.close()
            if isinstance(error, SourceError) and self._stop.is_set():
                raise self._stopped() from error
            if isinstance(error, SourceError) and self._break_off.is_set():
                # Given up, as what drips ends by no limit of libav's.
                seconds = self._open_timeout_seconds
                raise classify.explain(TimeoutError(), self._url, self.stream, self._policy, seconds) from error
            raise
        self._opened += 1
        self._live = info.live
        self._progress.go_on()
        return info

    def _see(self, playlists: Sequence[tuple[bytes, str]]) -> None:
        """Take note of the media playlists as they are now. Raises: SourceError where a lost one has nothing new."""
        self._look_at(playlists)
        if self._live and playlists:
            self._progress.check(self.stream)

    def _look_at(self, playlists: Sequence[tuple[bytes, str]]) -> None:
        self._progress.begin()
        for body, _ in playlists:
            if target := _TARGET_DURATION.search(body):
                self.target_seconds = max(self.target_seconds, float(target[1]))
                self._progress.see(body)

    def _describe(self, opened: OpenInput) -> StreamInfo:
        choice = TrackChoice(opened.container, self.stream, self._rendition, self._policy.max_pixels)
        for problem in choice.problems:
            self._note(problem)
        self._tracks = choice.tracks
        self.renditions = choice.renditions or opened.renditions
        self.target_seconds = opened.target_seconds or self.target_seconds
        opened.follow(choice.tracks)
        return choice.info(opened.format, local=is_local(self._url))

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
        opened = self._input
        if opened is None or opened.container is None or clock is None:
            raise RuntimeError("open() comes first")
        stop, stream = self._stop, self.stream
        kinds = {s.index: kind for kind, s in self._tracks}
        tracks = [s for _, s in self._tracks]
        demux = opened.container.demux(tracks)
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
                    if opened.broke is not None:
                        # To the demuxer, what comes through us just ended.
                        self.error = self._read_error(opened.broke)
                    elif not self._break_off.is_set():
                        self.error = self._lost(opened)
                        self.goes_on = self.error is None and opened.goes_on
                    return
                except av.error.InvalidDataError as error:
                    if self._break_off.is_set():
                        return
                    self.error = self._lost(opened)
                    if self.error is not None:
                        return
                    failed += 1
                    self._note(f"damaged container ({redact(error.strerror or 'invalid data')})")
                    if failed > _MAX_FAILED_READS:
                        if not self._near_end(opened.begins_at + position):
                            self.error = broken("the container is too damaged to read on", error, self._url, stream)
                        return
                    demux = opened.container.demux(tracks)
                    continue
                except IndexError:
                    # libav met a track that was not there at the start (a new, or a damaged PMT); PyAV 18 knows only
                    # those of the start, and gives up at each packet of it.
                    if not grown:
                        grown = True
                        self._note("a track was added on the way; it is not judged")
                    demux = opened.container.demux(tracks)
                    continue
                except (av.error.FFmpegError, OSError) as error:
                    if not stop.is_set():
                        self.error = self._lost(opened) or self._read_error(error)
                    return
                if not payload.size:
                    continue  # what PyAV yields at the end, so that decoders flush; whoever decodes does that here
                if payload.is_keyframe and payload.has_sidedata("encryption_info"):
                    # Its decoder would take it for damage. Some begin in the clear, so each is asked.
                    self.error = classify.cannot_open(stream, "its media is encrypted", "name an input without DRM")
                    return
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
        try:
            return self._input.raw_bytes() if self._input is not None else None
        except OSError as error:
            self._note(f"cannot watch the transport stream's packets ({error.strerror})")
            return None

    def go_from(self, position: int) -> bool:
        """Leave off: from a byte on the input's tracks are others.

        Args:
            position: byte, as in `Packet.position`, of the tables that name them.
        Returns: whether it `goes_on` there, so that the next `open` finds them.
        """
        opened = self._input
        self.goes_on = opened is not None and opened.go_from(position)
        return self.goes_on

    def why_ended(self) -> str:
        """One word for why a live source's packets ended; may ask its server. Only from the thread that reads it."""
        if self.error is not None:
            return cause_of(self.error)
        if self._break_off.is_set():
            return "timeout"
        opened = self._input
        if opened is None:
            return "ended"
        if opened.failure is not None:
            return cause_of(opened.failure)
        if opened.live_manifest is not None:
            return "stalled_playlist" if opened.live_manifest else "ended"
        try:
            playlists = opened.look_again()
        except SourceError as error:
            return cause_of(error)
        if playlists is None:
            return "ended"
        self._look_at(playlists)
        self._progress.lose()
        return "ended" if self._progress.ended else "stalled_playlist"

    def stop(self) -> None:
        """End a blocking `open` or read soon. From any thread; the reader still has to close the source."""
        self._stop.set()
        self.give_up()

    def give_up(self) -> None:
        """End a read that blocks for longer than its limit, which libav does inside a segment. From any thread."""
        self._break_off.set()
        opened = self._input
        if opened is not None:
            opened.abort()

    def close(self) -> None:
        """Close the input. Only from the thread that reads it, or after that has ended. Idempotent.

        The tracks' `handle`s are libav's memory and are gone then; decoders made before stay usable.
        """
        opened, self._input = self._input, None
        self._tracks = []
        self.goes_on = False
        if opened is not None:
            opened.close()

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

    def _lost(self, opened: OpenInput) -> SourceError | None:
        """Why a playlist cannot be read on, of which libav knows nothing."""
        lost = opened.lost
        return None if lost is None else broken(lost.why, lost, self._url, self.stream)

    def _read_error(self, error: Exception) -> SourceError:
        return read_error(error, self._url, self.stream, self.read_timeout_seconds)


_Placed = tuple[Any, float | None, float | None]  # libav's packet, its presentation and its decoding time


def _time_of(placed: _Placed) -> float | None:
    _, pts, dts = placed
    return pts if dts is None else dts
