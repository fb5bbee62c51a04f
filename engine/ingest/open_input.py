"""What libav reads of one input, and what it reads that through.

libav opens files, and most of what comes over a network, by itself. Playlists, manifests, SRT, endless transport
streams, what other packages read, and all of HTTP for callers whose addresses are restricted, come through us.

Belongs to the thread that opens and reads the input; `abort` may be called from any.
"""

import time
import weakref
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any, Final

import av
import av.error
from av.container import Flags

from engine.errors import SourceError
from engine.ingest import classify, interrupt
from engine.ingest.base import RawBytes
from engine.ingest.capture import device_options
from engine.ingest.copies import Seekable, WithoutCopies, has_copies
from engine.ingest.dash import DashPlaylists
from engine.ingest.file_from import FileFrom
from engine.ingest.followed_list import Body
from engine.ingest.hls import HlsFiles
from engine.ingest.http_files import HttpBytes, HttpFiles
from engine.ingest.local_files import LocalFiles
from engine.ingest.package_sources import Request, open_package_source
from engine.ingest.raw_bytes import TAPPED_SCHEMES, FileBytes, NetworkBytes, TappedBytes
from engine.ingest.renditions import choose, rules
from engine.ingest.segments import Segments
from engine.ingest.srt import SrtBytes
from engine.ingest.tracks import Tracks
from engine.ingest.url_policy import (
    UrlPolicy,
    is_device,
    is_local,
    is_package_scheme,
    local_path,
    open_options,
    playlist_options,
    scheme_of,
)

_PLAYLIST_SUFFIXES: Final = (".m3u8", ".m3u")
_MANIFEST_SUFFIXES: Final = (".mpd",)
_TRANSPORT_STREAM_SUFFIXES: Final = (".ts", ".m2ts", ".mts")

Timeouts = tuple[float, float]
"""Seconds to connect, and for the next bytes."""


class OpenInput:
    """One input, from when it is looked at until it is closed.

    Args:
        url: checked by the policy.
        stream: the stream's id, for errors.
        policy: what may be opened.
        rendition: which variant; see `renditions.choose`.
        limit_seconds: that was set for opening it.
        break_off: ends what blocks.
    """

    def __init__(
        self, url: str, stream: str, policy: UrlPolicy, rendition: str, limit_seconds: float, break_off: Event
    ) -> None:
        self.container: Any = None
        """PyAV's; None where it is not open."""
        self.renditions: tuple[str, ...] = ()
        """Rules of the renditions that a playlist or a manifest offers, the chosen one first."""
        self.target_seconds = 0.0
        """Length of a segment of a live manifest; 0 for all else."""
        self.problems: list[str] = []
        """What was wrong and not in the way."""
        self.begins_at = 0
        """Byte of a file at which what is read now begins; positions count from there."""
        self._url, self._stream, self._policy, self._rendition = url, stream, policy, rendition
        self._limit_seconds, self._break_off = limit_seconds, break_off
        self._closing: weakref.finalize[..., OpenInput] | None = None
        self._tap: TappedBytes | None = None
        self._file: Seekable | None = None
        self._files: HttpFiles | None = None
        self._dash: DashPlaylists | None = None
        self._hls: HlsFiles | None = None
        self._segments: dict[int, Segments] = {}  # what is read of a track's playlist, by its index
        self._watched: Segments | None = None  # whose bytes can be had a second time

    def look(self, timeouts: Timeouts) -> list[Body]:
        """Refuse what is no input before libav sees it.

        Returns: of a playlist, the media playlists that will be read; nothing of all else.
        Raises: SourceError.
        """
        if is_local(self._url):
            head = classify.check_file(local_path(self._url), self._stream)
            if not head or classify.sniff(head) != "playlist":
                return []
            self._hls = HlsFiles(self._stream, self._policy, LocalFiles(self._stream))
        elif scheme_of(self._url) in ("http", "https") and self._path().endswith(_PLAYLIST_SUFFIXES):
            self._hls = HlsFiles(self._stream, self._policy, self._over_connections(timeouts))
        else:
            return []
        found = self._hls.open(self._url, self._rendition)
        self.renditions, self.problems = self._hls.renditions, self._hls.problems
        return found

    def look_again(self) -> list[Body] | None:
        """The media playlists of the network as they are now; None where there are none. Raises: SourceError."""
        return None if self._hls is None or self._dash is not None or is_local(self._url) else self._hls.look()

    def open(self, timeouts: Timeouts, *, newest: bool, going_on: bool) -> None:
        """Have libav open it.

        Args:
            newest: of a live playlist, the last segment is the first one to be read.
            going_on: it is open; what comes behind the break at which it ended is read now.
        Raises: SourceError.
        """
        if going_on and self._hls is not None:
            self._close_container()
            self._hls.go_on()
        elif going_on:
            self._close_container()
        elif self._hls is not None and newest:
            self._hls.from_end = 1
        deadline = time.monotonic() + timeouts[0]
        try:
            with interrupt.interruptible(self._break_off):
                self._open_container(timeouts, going_on=going_on)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            failure = self._hls.lost or self._hls.failure if self._hls is not None else None
            if failure is None and self._files is not None:
                failure = self._files.failure
            self.close()
            if failure is not None:
                raise failure from error
            if self._break_off.is_set():  # nobody waits for the reason
                raise classify.cannot_open(self._stream, "it was told to stop", "start it again") from error
            if time.monotonic() >= deadline and not is_local(self._url):
                error = TimeoutError()  # libav calls it an error of input and output where RTMP stays silent
            raise classify.explain(error, self._url, self._stream, self._policy, self._limit_seconds) from error

    def _open_container(self, timeouts: Timeouts, *, going_on: bool) -> None:
        scheme = scheme_of(self._url)
        target: Any = self._url
        form: str | None = None
        if is_device(self._url):
            target, form, options = device_options(self._url, self._stream)
        else:
            options = open_options(self._url, self._policy, av.formats_available)
        if self._hls is None and scheme == "srt":
            target = self._tap = SrtBytes(self._url, self._stream, self._policy, timeouts, self._break_off)
        elif is_package_scheme(scheme):
            request = Request(self._url, self._stream, self._policy, *timeouts, self._break_off)
            target = self._tap = open_package_source(scheme, request)
        elif scheme in TAPPED_SCHEMES:
            target = self._tap = NetworkBytes(self._url, options, timeouts)
        elif self._hls is None and scheme in ("http", "https"):
            target = self._over_http(timeouts)
        elif is_local(self._url) and self._hls is None and (file := self._read_through_us()) is not None:
            target, form = file, "mpegts"
            self._file = file
        if self._hls is not None:
            target = self._hls.address
            options |= playlist_options(0 if going_on else -self._hls.from_end)
        self.container = av.open(
            target, format=form, options=options, timeout=timeouts, metadata_errors="replace", io_open=self._hls
        )
        if self._hls is not None:
            # Where the collector takes it apart, libav closes its files by what is gone already.
            self._closing = weakref.finalize(self, self.container.close)
        # PyAV asks for made-up presentation times (AVI has none); the decoder's own choice is better.
        self.container.flags &= ~Flags.gen_pts.value

    def _read_through_us(self) -> Seekable | None:
        """The local file where libav is not to open it by itself: from its middle, or without copies of packets."""
        path = local_path(self._url)
        if not Path(path).is_file():
            return None
        file = FileFrom(path, self.begins_at)
        doubled = has_copies(file)
        if not doubled and not self.begins_at:
            file.close()
            return None
        file.seek(0)
        return WithoutCopies(file) if doubled else file

    def _over_connections(self, timeouts: Timeouts) -> HttpFiles:
        """What opens resources of HTTP, until `abort`."""
        self._files = HttpFiles(self._stream, self._policy, timeouts)
        if self._break_off.is_set():
            self._files.abort()
        return self._files

    def _over_http(self, timeouts: Timeouts) -> Any:
        """What libav is to open of an HTTP address that is no HLS playlist; a manifest becomes playlists.

        Raises: SourceError for what is not there, and a manifest that cannot be played.
        """
        is_manifest = self._path().endswith(_MANIFEST_SUFFIXES)
        is_transport_stream = self._path().endswith(_TRANSPORT_STREAM_SUFFIXES)
        if self._policy.allow_private and not (is_manifest or is_transport_stream):
            return self._url
        files = self._over_connections(timeouts)
        if is_transport_stream:
            file = files.open(self._url)
            if files.failure is not None:
                raise files.failure
            if file.length is None:  # it has no end: its packets can be watched, and nobody seeks in it
                self._tap = HttpBytes(file)
                return self._tap
            file.close()
            if self._policy.allow_private:
                return self._url
        if is_manifest:
            self._dash = dash = DashPlaylists(self._url, self._stream, files, self._rendition)
            self.target_seconds = dash.target_seconds if dash.live else 0.0
            if len(offered := dash.renditions()) > 1:
                self.renditions = rules(offered, choose(offered, self._rendition))
            self._hls = HlsFiles(self._stream, self._policy, files)
            self._hls.serve(dash.master(), dash.lists())
            return self._hls.address
        opened = files.open_seekable(self._url)
        if files.failure is not None:
            raise files.failure
        return opened

    def _path(self) -> str:
        return self._url.split("?", 1)[0].split("#", 1)[0].lower()

    @property
    def format(self) -> str:
        """Name of the container."""
        return "dash" if self._dash is not None else str(self.container.format.name)

    def follow(self, tracks: Tracks) -> None:
        """Find the playlists that tracks come from; the first one's bytes are kept where they can be watched."""
        self._segments, self._watched = {}, None
        if self._hls is None:
            return
        for _, track in tracks:
            if (segments := self._hls.segments(track)) is not None:
                self._segments[track.index] = segments
        self._watched = self._hls.watch(tracks[0][1])

    def periods(self) -> Callable[[Any], int]:
        """What says of a packet how many announced breaks lie before it."""
        found = self._segments
        places = dict.fromkeys(found, 0)

        def period(packet: Any) -> int:
            index = packet.stream_index
            if index not in found:
                return 0
            # Of frames that share a packet of the container, libav gives the place of the first one.
            places[index] = packet.pos or places[index]
            return found[index].period(places[index])

        return period

    def raw_bytes(self) -> RawBytes | None:
        """The bytes of a transport stream below the demuxer; None where they cannot be had.

        Raises: OSError where a file cannot be read a second time.
        """
        if self._hls is not None:
            return self._watched
        if self.container is None or self.container.format.name != "mpegts":
            if self._tap is not None:
                self._tap.forget()
            return None
        if not is_local(self._url):
            return self._tap  # None over HTTP
        path = Path(local_path(self._url))
        # What one reader takes out of a pipe the other does not get.
        return FileBytes(path, self.begins_at) if path.is_file() else None

    def go_from(self, position: int) -> bool:
        """Let the next `open` begin at a byte, as its tracks are others from there on.

        Returns: whether it will: only a transport stream in a file of this machine is read from its middle.
        """
        container = self.container
        if self._hls is not None or container is None or container.format.name != "mpegts" or not is_local(self._url):
            return False
        if position <= 0 or not Path(local_path(self._url)).is_file():
            return False
        self.begins_at += position
        return True

    @property
    def lost(self) -> SourceError | None:
        """Why a playlist cannot be read on, of which libav knows nothing."""
        return self._hls.lost if self._hls is not None else None

    @property
    def broke(self) -> Exception | None:
        """What broke off the one answer that is read, of which libav knows only that it ended."""
        return self._files.broke if self._tap is not None and self._files is not None else None

    @property
    def goes_on(self) -> bool:
        """Whether what libav takes for the end is a break, behind which more comes."""
        return self._hls is not None and self._hls.goes_on

    @property
    def failure(self) -> SourceError | None:
        """Why the last resource of HTTP could not be had."""
        return self._files.failure if self._files is not None else None

    @property
    def live_manifest(self) -> bool | None:
        """Whether more is added to a manifest; None without one."""
        return self._dash.live if self._dash is not None else None

    def abort(self) -> None:
        """End what is being read through us. From any thread."""
        files = self._files
        if files is not None:
            files.abort()

    def close(self) -> None:
        """Close all of it. Idempotent."""
        self._close_container()
        tap, self._tap = self._tap, None
        if tap is not None:
            tap.close()
        files, self._files = self._files, None
        if files is not None:
            files.close()
        self._dash = self._hls = self._watched = None

    def _close_container(self) -> None:
        container, self.container = self.container, None
        if container is not None:
            container.close()
        file, self._file = self._file, None
        if file is not None:
            file.close()
        if self._closing is not None:
            self._closing.detach()
            self._closing = None
