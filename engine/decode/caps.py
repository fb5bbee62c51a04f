"""What this GPU decodes, and which decoder a stream gets: never in silence, always with the reason."""

import ctypes
from dataclasses import dataclass
from typing import Literal

from engine.decode.driver import load_library, primary_context
from engine.decode.nal import CODECS
from engine.decode.sequence import SequenceFormat
from engine.errors import DeviceError
from engine.media import VideoInfo

# cudaVideoCodec and cudaVideoChromaFormat of NVIDIA's Video Codec SDK.
CODEC_IDS = {
    "mpeg1video": 0,
    "mpeg2video": 1,
    "mpeg4": 2,
    "vc1": 3,
    "h264": 4,
    "hevc": 8,
    "vp8": 9,
    "vp9": 10,
    "av1": 11,
}
_CHROMA_420 = 1
_ASKED = (
    ("h264", 8),
    ("h264", 10),
    ("hevc", 8),
    ("hevc", 10),
    ("hevc", 12),
    ("mpeg2video", 8),
    ("vp8", 8),
    ("vp9", 8),
    ("vp9", 10),
    ("av1", 8),
    ("av1", 10),
)
# Above this the driver's default channel memory does not suffice (NVIDIA, DeepStream performance page).
SESSIONS_WITHOUT_REGISTRY_KEYS = 200
_420_FORMATS = frozenset(("yuv420p", "yuvj420p", "nv12", "yuv420p10le", "yuv420p12le", "p010le", "p012le"))


class _RawCaps(ctypes.Structure):
    """CUVIDDECODECAPS."""

    _fields_ = (
        ("codec", ctypes.c_int),
        ("chroma", ctypes.c_int),
        ("bit_depth_minus_8", ctypes.c_uint),
        ("reserved_in", ctypes.c_uint * 3),
        ("supported", ctypes.c_ubyte),
        ("engines", ctypes.c_ubyte),
        ("output_formats", ctypes.c_ushort),
        ("max_width", ctypes.c_uint),
        ("max_height", ctypes.c_uint),
        ("max_macroblocks", ctypes.c_uint),
        ("min_width", ctypes.c_ushort),
        ("min_height", ctypes.c_ushort),
        ("histogram", ctypes.c_ubyte),
        ("counter_bits", ctypes.c_ubyte),
        ("histogram_bins", ctypes.c_ushort),
        ("reserved_out", ctypes.c_uint * 10),
    )


@dataclass(frozen=True, slots=True)
class CodecCaps:
    """What NVDEC says of one codec at one depth, 4:2:0.

    Args:
        codec: libavcodec's name.
        bit_depth: of the samples.
        supported: it decodes it at all; the rest is 0 where it does not.
        engines: NVDEC units that can.
        min_width, min_height, max_width, max_height: luma samples as coded.
        max_macroblocks: largest coded width x height / 256.
    """

    codec: str
    bit_depth: int
    supported: bool
    engines: int = 0
    min_width: int = 0
    min_height: int = 0
    max_width: int = 0
    max_height: int = 0
    max_macroblocks: int = 0


@dataclass(frozen=True, slots=True)
class DecoderCaps:
    """What NVDEC of one device decodes.

    Args:
        device: "cuda:N".
        codecs: what was asked; empty where NVDEC cannot be asked.
        problem: why it cannot; "" where it can.
    """

    device: str
    codecs: tuple[CodecCaps, ...]
    problem: str = ""

    def find(self, codec: str, bit_depth: int) -> CodecCaps | None:
        """What is known of a codec at a depth; None if it was not asked."""
        return next((c for c in self.codecs if c.codec == codec and c.bit_depth == bit_depth), None)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which decoder a stream gets, and why: for the log, the stream's status and a metric.

    Args:
        decoder: "nvdec" or "software".
        reason: one line.
    """

    decoder: Literal["nvdec", "software"]
    reason: str


def query_caps(index: int) -> DecoderCaps:
    """Ask NVDEC of a device what it decodes. Once per process and device is enough; it is not cached here.

    Args:
        index: CUDA ordinal.
    Returns: the answer; without a GPU, a driver or NVDEC one with `problem` set. Never raises.
    """
    device = f"cuda:{index}"
    try:
        with primary_context(index):
            library = load_library("libnvcuvid.so.1")
            return DecoderCaps(device, tuple(_ask(library, codec, depth) for codec, depth in _ASKED))
    except DeviceError as error:
        return DecoderCaps(device, (), error.why)


def _ask(library: ctypes.CDLL, codec: str, bit_depth: int) -> CodecCaps:
    raw = _RawCaps(codec=CODEC_IDS[codec], chroma=_CHROMA_420, bit_depth_minus_8=bit_depth - 8)
    if library.cuvidGetDecoderCaps(ctypes.byref(raw)) or not raw.supported:
        return CodecCaps(codec, bit_depth, supported=False)
    return CodecCaps(
        codec,
        bit_depth,
        supported=True,
        engines=raw.engines,
        min_width=raw.min_width,
        min_height=raw.min_height,
        max_width=raw.max_width,
        max_height=raw.max_height,
        max_macroblocks=raw.max_macroblocks,
    )


def choose_decoder(info: VideoInfo, device: str, caps: DecoderCaps | None) -> Choice:
    """Choose by what the container says. What only the bitstream says is checked again by `refusal`.

    Args:
        info: the video track.
        device: where the kernels run, "cpu" or "cuda:N".
        caps: of that device; None where it was not asked.
    """
    if device == "cpu":
        return Choice("software", "the device is the CPU")
    if caps is None or caps.problem:
        return Choice("software", f"no NVDEC: {caps.problem if caps else 'its capabilities were not asked'}")
    if info.codec not in CODECS:
        known = "which NVDEC may decode, but " if info.codec in CODEC_IDS else ""
        return Choice(
            "software", f"the codec is {info.codec}, {known}whose size changes are not followed: NVDEC would rescale"
        )
    if info.interlaced:
        return Choice("software", _INTERLACED)
    if info.pixel_format and info.pixel_format not in _420_FORMATS:
        return Choice("software", f"the pixel format is {info.pixel_format}; NVDEC surfaces are read as 4:2:0")
    if not info.pixel_format or not info.bit_depth or info.width < 1 or info.height < 1:
        return Choice("software", "the container does not say size and pixel format")
    if info.codec == "h264" and info.profile == "Extended":
        return Choice("software", "NVDEC has no H.264 Extended profile")
    # Sizes as coded are multiples of 16 or less; the bitstream is asked later.
    why = _denied(caps, info.codec, info.bit_depth, _up(info.width), _up(info.height))
    if why:
        return Choice("software", why)
    return Choice("nvdec", f"NVDEC decodes {info.codec} {info.width}x{info.height} at {info.bit_depth} bit")


# PyNvVideoCodec 2.2.4 asks NVDEC for adaptive deinterlacing of every sequence that is not progressive, and
# CreateDecoder has no option for weaving the fields; combing would be hidden.
_INTERLACED = "the stream is interlaced, and PyNvVideoCodec would deinterlace it, which hides combing"


def refusal(fmt: SequenceFormat, caps: DecoderCaps) -> str:
    """Why NVDEC may not decode what a sequence header says; "" if it may."""
    if fmt.interlaced:
        return _INTERLACED
    if fmt.chroma != 1:
        return f"the chroma is {('grey', '4:2:0', '4:2:2', '4:4:4')[fmt.chroma]}; NVDEC surfaces are read as 4:2:0"
    if fmt.chroma_bit_depth != fmt.bit_depth:
        return f"luma has {fmt.bit_depth} bit and chroma {fmt.chroma_bit_depth}"
    if fmt.left or fmt.top:
        # PyNvVideoCodec 2.2.4 hands a new decoder no cropping area, and copies from the first coded row.
        return f"{fmt.left} columns and {fmt.top} rows are cropped at the left and top, which PyNvVideoCodec leaves in"
    if fmt.codec == "h264" and fmt.profile == 88:
        return "NVDEC has no H.264 Extended profile"
    return _denied(caps, fmt.codec, fmt.bit_depth, fmt.coded_width, fmt.coded_height)


def _up(side: int) -> int:
    return (side + 15) // 16 * 16


def _denied(caps: DecoderCaps, codec: str, bit_depth: int, width: int, height: int) -> str:
    entry = caps.find(codec, bit_depth)
    if entry is None or not entry.supported:
        return f"this GPU's NVDEC does not decode {codec} at {bit_depth} bit"
    if width < entry.min_width or height < entry.min_height:
        return f"{width}x{height} is below NVDEC's smallest {entry.min_width}x{entry.min_height}"
    if width > entry.max_width or height > entry.max_height or width * height > entry.max_macroblocks * 256:
        return (
            f"{width}x{height} is above NVDEC's largest {entry.max_width}x{entry.max_height} "
            f"({entry.max_macroblocks} macroblocks)"
        )
    return ""
