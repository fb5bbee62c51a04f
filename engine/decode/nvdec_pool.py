"""NVDEC sessions and surface memory of one device, through PyNvVideoCodec.

Used by: the `NvdecDecoder`s of a device, each in its stream's reader thread; `Surface.release` may come from any
thread. The pool owns the sessions that no stream uses now and the surfaces' memory.

A session overwrites its pictures at the next `Decode`, and its locked pictures carry no time. So each picture is copied
within device memory, on the stream that decodes, into a buffer of the pool, and is complete when it is handed out: the
reader runs ahead of the kernels, no `Decode` ever waits for a release, a closed decoder leaves its surfaces valid, and
a kernel on any CUDA stream may read them. The price is one more pass over the picture in device memory. Handing out
the session's own slots would instead make every reader wait for the verdicts on its last picture.
"""

import ctypes
import re
import threading
from collections import deque
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

from engine.decode.caps import DecoderCaps, query_caps, refusal
from engine.decode.damage import damage_tap
from engine.decode.driver import check_device, cuda_driver, error_name
from engine.decode.nal import address_of_bytes
from engine.decode.sequence import SequenceFormat
from engine.errors import DeviceError

# Sessions are made for the smallest of these that holds the picture, so that other streams can take them over.
_SIZE_CLASSES = ((768, 576), (1280, 736), (1920, 1088), (4096, 2304), (8192, 8192))
# libnvcuvid's errors that concern the process and not the stream; CUDA never recovers from them.
_STICKY = frozenset((214, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 720, 999))
_UNSUPPORTED = 801
_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING
_EVENT_FLAGS = 1 | 2  # CU_EVENT_BLOCKING_SYNC, CU_EVENT_DISABLE_TIMING


class SessionRefused(Exception):
    """NVDEC does not take this stream, or takes no more streams; the text says why."""


class PictureLost(Exception):
    """One Decode call failed; the stream may go on at its next key picture."""


def load_nvcodec(index: int) -> ModuleType:
    """PyNvVideoCodec, once CUDA is known to work: its own failing cuInit would end the process.

    Args:
        index: CUDA ordinal.
    Raises: DeviceError with the reason.
    """
    check_device(index)
    try:
        import PyNvVideoCodec  # not before a driver was found; it does not import without one
    except (ImportError, RuntimeError, OSError) as exc:
        raise DeviceError(
            "cannot use NVDEC",
            why=f"PyNvVideoCodec does not load ({str(exc).strip().splitlines()[0] if str(exc).strip() else exc!r})",
            remedy="install PyNvVideoCodec >= 2.2.4; in a container ask for the driver capability video",
        ) from exc
    module: ModuleType = PyNvVideoCodec
    return module


def _size_class(width: int, height: int) -> tuple[int, int]:
    for wide, high in _SIZE_CLASSES:
        if width <= wide and height <= high:
            return wide, high
        if width <= high and height <= wide:
            return high, wide
    return width, height


@dataclass(slots=True, eq=False)
class Session:
    """One PyNvDecoder and what it is set to."""

    decoder: Any
    codec: str
    bit_depth: int
    max_size: tuple[int, int]
    size: tuple[int, int]


@dataclass(slots=True, eq=False)
class Picture:
    """A buffer of the pool, given back once."""

    pool: "DecoderPool"
    address: int
    size: int

    def release(self) -> None:
        """Give the memory back to the pool; a second call does nothing."""
        address, self.address = self.address, 0
        if address:
            self.pool.give_buffer(address, self.size)

    def __del__(self) -> None:
        # A surface that was dropped on the way (a closed queue) would otherwise keep its memory for ever.
        if self.address:
            self.release()


@dataclass(frozen=True, slots=True)
class Calls:
    """The driver's functions that are called for every picture. ctypes takes plain numbers where it knows their types,
    where an object of each would have to be made otherwise.

    Args:
        enter: cuCtxSetCurrent.
        copy: cuMemcpyDtoDAsync.
        record: cuEventRecord.
        wait: cuEventSynchronize.
    """

    enter: Any
    copy: Any
    record: Any
    wait: Any

    TYPES: ClassVar = (
        (ctypes.c_void_p,),
        (ctypes.c_uint64, ctypes.c_uint64, ctypes.c_size_t, ctypes.c_void_p),
        (ctypes.c_void_p, ctypes.c_void_p),
        (ctypes.c_void_p,),
    )
    """Of their arguments."""

    @classmethod
    def of(cls, driver: ctypes.CDLL) -> "Calls":
        """Those of a driver."""
        names = ("cuCtxSetCurrent", "cuMemcpyDtoDAsync_v2", "cuEventRecord", "cuEventSynchronize")
        return cls.at(*(ctypes.cast(driver[name], ctypes.c_void_p).value or 0 for name in names))

    @classmethod
    def at(cls, *addresses: int) -> "Calls":
        """Functions at these addresses; they let go of Python's lock while they are called."""
        made = (
            ctypes.CFUNCTYPE(ctypes.c_int, *types)(address) for types, address in zip(cls.TYPES, addresses, strict=True)
        )
        return cls(*made)


class DecoderPool:
    """NVDEC sessions and surface memory of one device.

    Making a session costs up to 300 ms and tens of megabytes, so an ended stream's session serves the next stream of
    the same codec and depth whose pictures fit.

    Args:
        index: CUDA ordinal.
        cuda_stream: handle of the CUDA stream that all sessions share (`torch.cuda.Stream.cuda_stream`); None makes
            one that does not wait for the NULL stream.
        max_sessions: refuse more than this at a time; None leaves it to the driver.
        max_idle: sessions kept for later streams.
        caps: what the device decodes; None asks it.
    Raises: DeviceError if CUDA or PyNvVideoCodec cannot be used, or NVDEC cannot be asked.
    """

    def __init__(
        self,
        index: int,
        *,
        cuda_stream: int | None = None,
        max_sessions: int | None = None,
        max_idle: int = 8,
        caps: DecoderCaps | None = None,
    ) -> None:
        self.device = f"cuda:{index}"
        self.module = load_nvcodec(index)
        self.caps = caps or query_caps(index)
        if self.caps.problem:
            raise DeviceError(
                "cannot use NVDEC", why=self.caps.problem, remedy="use the software decoder, or repair the driver"
            )
        self.damage_problem = damage_tap.install()
        self._index = index
        self._max_sessions = max_sessions
        self._max_idle = max_idle
        self._lock = threading.RLock()  # the garbage collector may give a picture back from within
        self._idle: list[Session] = []
        self._in_use = 0
        self._buffers: dict[int, list[int]] = {}
        self._held_buffers = 0
        self._closed = False
        self._driver = cuda_driver()
        self._calls = Calls.of(self._driver)
        self._context = ctypes.c_void_p()
        self._check(self._driver.cuDevicePrimaryCtxRetain(ctypes.byref(self._context), index), "retaining the context")
        self._own_stream = cuda_stream is None
        self.cuda_stream = self._make_stream() if cuda_stream is None else cuda_stream
        self._events: deque[Any] = deque()  # appending and popping need no lock

    @property
    def sessions_in_use(self) -> int:
        """Sessions that streams use now."""
        return self._in_use

    @property
    def sessions_idle(self) -> int:
        """Sessions that wait for a stream."""
        return len(self._idle)

    @property
    def surfaces_held(self) -> int:
        """Surfaces that were handed out and not yet released."""
        return self._held_buffers

    def take(self, fmt: SequenceFormat) -> Session:
        """A session for a sequence.

        Raises: SessionRefused if the device does not decode it or has no session left.
        """
        why = refusal(fmt, self.caps)
        if why:
            raise SessionRefused(why)
        size = (fmt.width, fmt.height)
        wide, high = _size_class(fmt.coded_width, fmt.coded_height)
        with self._lock:
            if self._closed:
                raise SessionRefused("the decoder pool is closed")
            idle = self._find_idle(fmt)
            if idle is None and self._max_sessions is not None and self._in_use >= self._max_sessions:
                raise SessionRefused(f"all {self._max_sessions} NVDEC sessions are in use")
            self._in_use += 1
        try:
            if idle is not None:
                self._fit(idle, size)
                return idle
            decoder = self.module.CreateDecoder(
                gpuid=self._index,
                codec=getattr(self.module.cudaVideoCodec, fmt.codec.upper()),
                cudacontext=0,
                cudastream=self.cuda_stream,
                usedevicememory=True,
                maxwidth=wide,
                maxheight=high,
            )
        except Exception as exc:
            with self._lock:
                self._in_use -= 1
            raise self._explain(exc, "making a session") from exc
        return Session(decoder, fmt.codec, fmt.bit_depth, (wide, high), size)

    def _find_idle(self, fmt: SequenceFormat) -> Session | None:
        for i, session in enumerate(self._idle):
            wide, high = session.max_size
            if (session.codec, session.bit_depth) == (fmt.codec, fmt.bit_depth) and (
                fmt.coded_width <= wide and fmt.coded_height <= high
            ):
                return self._idle.pop(i)
        return None

    @staticmethod
    def _fit(session: Session, size: tuple[int, int]) -> None:
        """Announce the next sequence's size; without it PyNvVideoCodec rescales to the old one in silence."""
        if session.size != size:
            session.decoder.setReconfigParams(*size)
            session.size = size

    def give_back(self, session: Session, *, usable: bool) -> None:
        """Take a session back, flushed; one that failed is destroyed."""
        with self._lock:
            self._in_use -= 1
            if usable and not self._closed and len(self._idle) < self._max_idle:
                self._idle.append(session)
                return
        session.decoder = None

    def decode(self, session: Session, data: bytes, serial: int) -> list[tuple[Any, int, bool]]:
        """Feed a session; b"" is the end of the stream.

        Args:
            session: taken from this pool, used by one thread at a time.
            data: one access unit, Annex B.
            serial: comes back with the picture.
        Returns: (PyNvVideoCodec's frame, its serial, whether it is damaged) in presentation order; valid until the
            next call for this session.
        Raises: SessionRefused, PictureLost, DeviceError.
        """
        packet = self.module.PacketData()
        packet.bsl_data = address_of_bytes(data)
        packet.bsl = len(data)
        packet.pts = serial
        before = damage_tap.count()
        try:
            frames = session.decoder.Decode(packet)
        except Exception as exc:
            raise self._explain(exc, "decoding") from exc
        # A call that gives several pictures does not say which of them are meant, so all are.
        damaged = damage_tap.count() > before
        for frame in frames:
            height, width = frame.shape[0] * 2 // 3, frame.shape[1]
            if (width, height) != session.size:
                raise SessionRefused(
                    f"NVDEC gives {width}x{height} for pictures of {session.size[0]}x{session.size[1]}"
                )
        return [(frame, frame.timestamp, damaged) for frame in frames]

    def copy(self, frames: list[Any]) -> list[Picture]:
        """Copy frames into buffers of their own, and wait until they are there.

        Raises: DeviceError if the device has no memory left or fails.
        """
        calls, stream = self._calls, self.cuda_stream
        pictures: list[Picture] = []
        # Readers have no context of their own, and nobody else's is there to be kept.
        if code := calls.enter(self._context):
            self._check(code, "entering the context")
        event = self._take_event()
        try:
            for frame in frames:
                size = frame.framesize()
                picture = Picture(self, self._take_buffer(size), size)
                pictures.append(picture)
                if code := calls.copy(picture.address, frame.GetPtrToPlane(0), size, stream):
                    self._check(code, "copying a picture")
            if code := calls.record(event, stream):
                self._check(code, "recording an event")
            if code := calls.wait(event):
                self._check(code, "waiting for a picture")
        except DeviceError:
            for picture in pictures:
                picture.release()
            raise
        finally:
            self._events.append(event)
        return pictures

    def _take_event(self) -> Any:
        """One that nobody waits for; there are as many as threads that ever waited at a time."""
        try:
            return self._events.pop()
        except IndexError:
            event = ctypes.c_void_p()
            self._check(self._driver.cuEventCreate(ctypes.byref(event), _EVENT_FLAGS), "making an event")
            return event

    def _take_buffer(self, size: int) -> int:
        with self._lock:
            free = self._buffers.get(size)
            self._held_buffers += 1
            if free:
                return free.pop()
        address = ctypes.c_uint64()
        code = self._driver.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(size))
        if code:
            with self._lock:
                self._held_buffers -= 1
        self._check(code, f"allocating {size} bytes for a picture")
        return address.value

    def give_buffer(self, address: int, size: int) -> None:
        """Take a picture's memory back."""
        with self._lock:
            self._held_buffers -= 1
            if not self._closed:
                free = self._buffers.get(size)
                if free is None:
                    free = self._buffers[size] = []
                free.append(address)
                return
        self._free([address])

    def _free(self, addresses: list[int]) -> None:
        with _Current(self._driver, self._context):
            for address in addresses:
                self._driver.cuMemFree_v2(ctypes.c_uint64(address))

    def close(self) -> None:
        """Destroy the idle sessions and free the memory. Surfaces still held free theirs when released. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            idle, self._idle = self._idle, []
            buffers, self._buffers = self._buffers, {}
        for session in idle:
            session.decoder = None
        self._free([address for addresses in buffers.values() for address in addresses])
        with _Current(self._driver, self._context):
            while self._events:
                self._driver.cuEventDestroy_v2(self._events.pop())

    def _make_stream(self) -> int:
        handle = ctypes.c_void_p()
        with _Current(self._driver, self._context):
            self._check(self._driver.cuStreamCreate(ctypes.byref(handle), _NON_BLOCKING), "making a CUDA stream")
        return handle.value or 0

    def _check(self, code: int, doing: str) -> None:
        if code:
            raise DeviceError(
                "the GPU failed",
                why=f"{doing}: {error_name(self._driver, code)}",
                remedy="restart this process; look into dmesg for Xid lines if it comes back",
            )

    def _explain(self, exc: Exception, doing: str) -> Exception:
        """What an exception of PyNvVideoCodec means to the stream, or to the process."""
        text = str(exc)
        found = re.search(r"Error code : (\d+)", text)
        code = int(found.group(1)) if found else 0
        kind = re.search(r"Error Type : (.*)", text)
        why = kind.group(1).strip() if kind else " ".join(text.split())
        if code in _STICKY:
            return DeviceError(
                "the GPU failed",
                why=f"{doing}: {why}",
                remedy="restart this process; look into dmesg for Xid lines if it comes back",
            )
        if "cuvidCreateDecoder" in text:
            return SessionRefused(f"NVDEC gives no further session (error {code}, {self._in_use - 1} others in use)")
        if code == _UNSUPPORTED or doing != "decoding":
            return SessionRefused(f"NVDEC refuses the stream: {why}")
        return PictureLost(why)


class _Current:
    """Makes a CUDA context current in this thread, as reader threads have none of their own."""

    def __init__(self, driver: ctypes.CDLL, context: ctypes.c_void_p) -> None:
        self._driver = driver
        self._context = context

    def __enter__(self) -> None:
        self._driver.cuCtxPushCurrent_v2(self._context)

    def __exit__(self, *error: object) -> None:
        self._driver.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))
