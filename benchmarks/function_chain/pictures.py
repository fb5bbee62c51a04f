"""Pictures and sound as bytes for an object store, and back.

8-bit 4:2:0 pictures only, which is what nearly all distribution is. Code values are kept as they are: the range and the
matrix travel in the manifest, so that nothing is converted on the way but what JPEG loses.
"""

import base64
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

import av
import numpy as np

from benchmarks.function_chain.variants import Image
from engine.media import AudioBlock, Surface

_CODECS: Final[Mapping[Image, str]] = {"jpeg": "mjpeg", "small": "mjpeg", "lossless": "utvideo"}
# 2 is libav's best. Huffman tables of the standard: those made to measure take longer.
_QUANTISERS: Final[Mapping[Image, str]] = {"jpeg": "2", "small": "8"}
_FORMATS: Final = ("yuv420p", "yuvj420p")


class PictureWriter:
    """Encodes the pictures of one stream, each on its own.

    Args:
        image: how.
    """

    def __init__(self, image: Image) -> None:
        self._image = image
        self._encoder: Any = None
        self._shape: tuple[int, int, str] | None = None
        self._count = 0

    def encode(self, surface: Surface) -> bytes:
        """One picture.

        Raises: ValueError for pictures other than 8-bit 4:2:0.
        """
        frame = surface.owner
        if not isinstance(frame, av.VideoFrame) or frame.format.name not in _FORMATS:
            raise ValueError(f"{surface.stream}: the chain takes 8-bit 4:2:0 pictures of the software decoder only")
        shape = (frame.width, frame.height, frame.format.name)
        if shape != self._shape:
            self._encoder, self._shape = self._open(*shape), shape
        # A frame of its own with the same planes: what is written to it is not seen by the decoder.
        frame.pts, frame.time_base = self._count, Fraction(1, 25)
        frame.pict_type = 0
        self._count += 1
        (packet,) = self._encoder.encode(frame)
        return bytes(packet)

    @property
    def header(self) -> str:
        """What a reader has to know of the encoder, base64."""
        extra = self._encoder.extradata if self._encoder is not None and self._image == "lossless" else None
        return base64.b64encode(extra or b"").decode("ascii")

    def _open(self, width: int, height: int, pixel_format: str) -> Any:
        encoder: Any = av.CodecContext.create(_CODECS[self._image], "w")
        encoder.width, encoder.height, encoder.pix_fmt = width, height, pixel_format.replace("j", "")
        encoder.time_base, encoder.thread_count = Fraction(1, 25), 1
        if self._image in _QUANTISERS:
            quantiser = _QUANTISERS[self._image]
            encoder.options = {"strict": "unofficial", "qmin": quantiser, "qmax": quantiser, "huffman": "default"}
            encoder.color_range = 1
        return encoder


class PictureReader:
    """Decodes what a PictureWriter made."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._decoder: Any = None
        self._shape: tuple[int, int, str] | None = None

    def decode(self, data: bytes, stream: str, about: Mapping[str, Any], header: str) -> Surface:
        """The picture, with what the manifest says about it."""
        shape = (about["width"], about["height"], header)
        if shape != self._shape:
            self._decoder, self._shape = self._open(*shape), shape
        (frame,) = self._decoder.decode(av.Packet(data))
        planes = frame.planes
        return Surface(
            stream=stream, pts=about["pts"], duration=about["duration"],
            addresses=(planes[0].buffer_ptr, planes[1].buffer_ptr, planes[2].buffer_ptr),
            luma_pitch=planes[0].line_size, chroma_pitch=planes[1].line_size, chroma_step=1, width=frame.width,
            height=frame.height, chroma_width=(frame.width + 1) // 2, chroma_height=(frame.height + 1) // 2,
            bit_depth=8, shift=0, full_range=about["full_range"], matrix=about["matrix"],
            interlaced=about["interlaced"], corrupt=about["corrupt"], device="cpu", owner=frame,
            top_field_first=about["top_field_first"], key=about["key"], apart=about["apart"],
        )  # fmt: skip

    def _open(self, width: int, height: int, header: str) -> Any:
        decoder: Any = av.CodecContext.create(_CODECS[self._image], "r")
        decoder.thread_count = 1
        if self._image == "lossless":
            decoder.width, decoder.height, decoder.pix_fmt = width, height, "yuv420p"
            decoder.extradata, decoder.codec_tag = base64.b64decode(header), "ULY0"
        return decoder


def describe(surface: Surface) -> dict[str, Any]:
    """What a detector has to know of a picture beside its samples."""
    return {
        "pts": surface.pts, "duration": surface.duration, "width": surface.width, "height": surface.height,
        "full_range": surface.full_range, "matrix": surface.matrix, "interlaced": surface.interlaced,
        "corrupt": surface.corrupt, "top_field_first": surface.top_field_first, "key": surface.key,
        "apart": surface.apart,
    }  # fmt: skip


def write_sound(blocks: Sequence[AudioBlock]) -> tuple[bytes, list[dict[str, Any]]]:
    """Blocks of sound as one buffer of float32 samples, and what the manifest says of each."""
    about = [
        {"pts": block.pts, "channels": block.samples.shape[0], "valid": block.valid, "weights": list(block.weights),
         "clip_level": block.clip_level}
        for block in blocks
    ]  # fmt: skip
    return b"".join(block.samples.tobytes() for block in blocks), about


def read_sound(data: bytes, stream: str, about: Sequence[Mapping[str, Any]], block_samples: int) -> list[AudioBlock]:
    """The blocks of a buffer."""
    blocks, at = [], 0
    samples_of_all = bytearray(data)  # torch wants what it takes to be writable
    for one in about:
        count = one["channels"] * block_samples
        samples = np.frombuffer(samples_of_all, np.float32, count, at).reshape(one["channels"], block_samples)
        at += 4 * count
        blocks.append(
            AudioBlock(stream, one["pts"], samples, one["valid"], tuple(one["weights"]), one["clip_level"])
        )  # fmt: skip
    return blocks
