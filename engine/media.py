"""The types that flow on the device side, in the order in which data meets them.

All are frozen and compare by identity (`eq=False`: comparing tensors raises). Times are media seconds from the
input's first timestamp. What crosses to the host is in verdicts.py. Nothing here loads torch: a process that only reads
inputs hands packets on and never sees a picture.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from engine.errors import MeasureError
from kernels.layout import FRAME_FIELDS

if TYPE_CHECKING:
    from torch import Tensor

Track = Literal["video", "audio"]


@dataclass(frozen=True, slots=True, eq=False)
class VideoInfo:
    """What the container says of a video track, before anything is decoded.

    Args:
        codec: libavcodec's name ("h264").
        profile: libavcodec's profile name, "" where unknown.
        width, height: luma samples; 0 where unknown.
        pixel_format: libav's name ("yuv420p10le"), "" where unknown.
        bit_depth: bits per component; 0 where unknown.
        frame_rate: frames per second, average; None where unknown.
        interlaced: the stream says that it is interlaced.
        handle: the track as its decoder needs it: the demuxer's own (`av.VideoStream`), or one put together from what
            another process says of it (ingest/track.py).
        top_field_first: the container says which field of its pictures is shown first; None where it does not.
    """

    codec: str
    profile: str
    width: int
    height: int
    pixel_format: str
    bit_depth: int
    frame_rate: float | None
    interlaced: bool
    handle: Any
    top_field_first: bool | None = None


@dataclass(frozen=True, slots=True, eq=False)
class AudioInfo:
    """What the container says of an audio track.

    Args:
        codec: libavcodec's name.
        sample_rate: in hertz, as coded.
        layout: libav's channel layout name ("stereo", "5.1").
        channels: number of channels as coded.
        handle: as `VideoInfo.handle`.
    """

    codec: str
    sample_rate: int
    layout: str
    channels: int
    handle: Any


@dataclass(frozen=True, slots=True, eq=False)
class StreamInfo:
    """One opened input. A track that the input does not have is None; then so are its verdicts.

    Args:
        stream: the input's id (its URL or path as given, secrets hidden).
        container: libav's format name ("mpegts").
        duration: seconds, as the container claims; None for live inputs.
        live: nothing guarantees an end (network source without a duration).
        video, audio: the tracks that are judged (the container's best of each kind).
        undecodable: why none is judged of a kind of which there are some, by kind.
    """

    stream: str
    container: str
    duration: float | None
    live: bool
    video: VideoInfo | None
    audio: AudioInfo | None
    undecodable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Packet:
    """One compressed packet. It may cross a process or machine boundary; decoded pixels never do.

    Args:
        stream: id of its stream.
        track: which of the stream's tracks it belongs to.
        pts: presentation time in media seconds; None where the container has none.
        dts: decoding time in media seconds; None where the container has none.
        offset: seconds to add to the payload's timestamps to get media time (minus the input's start; the clock takes
            discontinuities out of the payload's own timestamps).
        size: payload bytes.
        key: starts a decodable group of pictures.
        corrupt: the container marks it as damaged.
        payload: the demuxer's packet object (`av.Packet`), or one with the same content.
        position: its first byte's place in the input; None where that is not known.
    """

    stream: str
    track: Track
    pts: float | None
    dts: float | None
    offset: float
    size: int
    key: bool
    corrupt: bool
    payload: Any
    position: int | None = None


def _nothing() -> None:
    """Release nothing: the planes are kept alive by `owner` alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """One decoded picture where it lies, in the memory of `device`; the same whichever decoder made it.

    Args:
        stream: id of its stream.
        pts: presentation time in media seconds.
        duration: seconds until the next picture is due (from the stream or its frame rate; > 0).
        addresses: of the Y, U and V planes, absolute; U and V are 0 for grey pictures. For interleaved chroma (NV12)
            V is U plus one sample.
        luma_pitch, chroma_pitch: bytes from one row to the next; at least the row's bytes.
        chroma_step: samples from one U to the next: 1 planar, 2 interleaved.
        width, height: luma samples, > 0.
        chroma_width, chroma_height: samples per chroma component; 0 for grey.
        bit_depth: 8 to 16. A sample is one byte at 8, else two (little-endian).
        shift: right shift from the stored word to the code value (16 - bit_depth for P016).
        full_range: code values span the whole depth (JPEG range), else 16..235 at 8 bit.
        matrix: colour matrix as ITU-T H.273 MatrixCoefficients (1 BT.709, 5/6 BT.601, 9 BT.2020; 2 unspecified).
        interlaced: the decoder says that this picture is interlaced; it is kept as it is.
        corrupt: the decoder says that this picture was concealed or built from damaged references.
        device: "cpu" or "cuda:N".
        owner: whatever keeps the planes alive (the libav frame, a device allocation).
        release: to be called exactly once, when the event after the last reader has fired.
        decoded_at: monotonic seconds at which it was there; what a verdict's latency counts from.
        top_field_first: which field of an interlaced picture the stream says is shown first; None where it does not.
        key: it was coded without regard to the pictures before it.
        apart: a hole in the stream lies before it that is told as one, so it is compared with nothing before that.
    """

    stream: str
    pts: float
    duration: float
    addresses: tuple[int, int, int]
    luma_pitch: int
    chroma_pitch: int
    chroma_step: int
    width: int
    height: int
    chroma_width: int
    chroma_height: int
    bit_depth: int
    shift: int
    full_range: bool
    matrix: int
    interlaced: bool
    corrupt: bool
    device: str
    owner: Any
    release: Callable[[], None] = field(default=_nothing)
    decoded_at: float = field(default_factory=time.monotonic)
    top_field_first: bool | None = None
    key: bool = False
    apart: bool = False

    def __post_init__(self) -> None:
        sample = 1 if self.bit_depth == 8 else 2
        if (
            self.width < 1
            or self.height < 1
            or not 8 <= self.bit_depth <= 16
            or self.luma_pitch < self.width * sample
            or (self.chroma_width and self.chroma_pitch < self.chroma_width * self.chroma_step * sample)
            or not self.addresses[0]
        ):
            raise MeasureError(
                "not a readable surface",
                stream=self.stream,
                why=f"{self.width}x{self.height}, {self.bit_depth} bit, luma pitch {self.luma_pitch}, chroma "
                f"{self.chroma_width}x{self.chroma_height} step {self.chroma_step} pitch {self.chroma_pitch}, "
                f"addresses {self.addresses}",
                remedy="the decoder adapter has to describe its planes; this is a bug in avjury",
            )

    @property
    def geometry(self) -> tuple[int, ...]:
        """What has to be equal for two pictures to be compared sample by sample."""
        return (
            self.width,
            self.height,
            self.chroma_width,
            self.chroma_height,
            self.chroma_step,
            self.bit_depth,
            self.shift,
        )


@dataclass(frozen=True, slots=True, eq=False)
class AudioBlock:
    """100 ms of decoded sound of one stream, on the host (audio decodes on the CPU).

    Args:
        stream: id of its stream.
        pts: media time of its first sample.
        samples: (channels, 4800) float32 at 48 kHz, full scale 1.0, C-contiguous; channels 1 to 8.
        valid: samples that are real, 1..4800; the rest (end of the stream, before a gap) are zeros that no verdict
            may count.
        weights: one loudness weight per channel (ITU-R BS.1770-5 table 4: 1.0; 1.41 surround; 0 LFE).
        clip_level: absolute sample value that counts as full scale: 1.0 less one and a half steps of the coded depth
            (the highest positive code is one step below 1.0), 1.0 for codecs that decode to float.
    """

    stream: str
    pts: float
    samples: npt.NDArray[np.float32]
    valid: int
    weights: tuple[float, ...]
    clip_level: float


@dataclass(frozen=True, slots=True, eq=False)
class StreamTick:
    """What ingest and decode counted in one media second of a stream.

    Args:
        start, end: media seconds; `start` is the first damage if there was any.
        decode_errors: damaged packets and pictures in it.
        video_missing_seconds, audio_missing_seconds: how long there has been no decoded picture or sound, at `end`.
        stall_seconds: how long a live source has given nothing at all that could be decoded, at `end`; 0 while it does.
        sync_error: how far sound and picture lie apart, over what is tolerated (engine/lip_sync.py).
        reference_mismatch: 1 where the stream shows another programme than its reference, 0 where it shows the same.
        transport: measures of the transport by column (see ingest/transport.py); those left out say nothing.
        causes: what a measure of the transport means, in words, by column.

    NaN says nothing of its measure: a tick may be of one finding only, with the times of that.
    """

    start: float
    end: float
    decode_errors: float = math.nan
    video_missing_seconds: float = math.nan
    audio_missing_seconds: float = math.nan
    stall_seconds: float = math.nan
    sync_error: float = math.nan
    reference_mismatch: float = math.nan
    transport: Mapping[str, float] = field(default_factory=dict)
    causes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class FrameBatch:
    """Pictures of many streams, at most one per slot, as a struct of arrays.

    At most one, because a picture's reference is decided by the verdict on the one before it; so the same file gives
    the same numbers whatever the batch size.

    Args:
        slots: (N,) int64, CPU: the slot of each picture, all different.
        pts: (N,) float64, CPU: media seconds.
        frames: (N, FRAME_FIELDS) int64, CPU (pinned on a GPU machine): rows for the kernels, see kernels/layout.py.
        surfaces: the N surfaces, in the same order; they are released by whoever emits the batch's verdicts.
        numbers: `slots` as Python has them, as every part of the host asks for them.
    """

    slots: Tensor
    pts: Tensor
    frames: Tensor
    surfaces: tuple[Surface, ...]
    numbers: tuple[int, ...]

    def __post_init__(self) -> None:
        n = len(self.surfaces)
        if (
            self.slots.shape != (n,)
            or self.pts.shape != (n,)
            or self.frames.shape != (n, FRAME_FIELDS)
            or len(self.numbers) != n
        ):
            raise MeasureError(
                "not a frame batch",
                why=f"{n} surfaces, slots {tuple(self.slots.shape)}, pts {tuple(self.pts.shape)}, frames "
                f"{tuple(self.frames.shape)}",
                remedy="build it with engine.batch; this is a bug in avjury",
            )


@dataclass(frozen=True, slots=True, eq=False)
class AudioBatch:
    """100 ms blocks of many streams, at most one per slot.

    Args:
        slots: (N,) int64, CPU: all different.
        pts: (N,) float64, CPU: media time of the first sample.
        seconds: (N,) float64, CPU: how much of each block is real.
        samples: (N, C, 4800) float32, CPU, C 1 to 8; what lies beyond a stream's own channels is not read.
        channels: (N,) int64, CPU: real channels, 1..8.
        valid: (N,) int64, CPU: real samples per channel, 1..4800.
        weights: (N, 8) float64, CPU: loudness weights, 0 beyond the real channels.
        clip_level: (N,) float64, CPU.
    """

    slots: Tensor
    pts: Tensor
    seconds: Tensor
    samples: Tensor
    channels: Tensor
    valid: Tensor
    weights: Tensor
    clip_level: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """Named columns, one row per frame, audio block or stream tick, on the device.

    Args:
        track: which kind of rows these are; "stream" rows come from the counters of ingest and decode.
        columns: name of each column of `values`.
        slots: (N,) int64, CPU: all different.
        start: (N,) float64, CPU: media time at which the row's picture, block or tick begins.
        known_until: (N,) float64, CPU: media time up to which the row's values are known to hold: `start` for a
            picture (one instant), the end of the block or tick otherwise.
        values: (N, len(columns)) float64 on the device, ticks on the CPU; NaN where a quantity has no value (no
            reference, not due).
        device_rows: slots, start and known_until, where they lie on a GPU already; None elsewhere. They
            hold until the next batch of the track is measured: judge the rows before.
        kept: whoever follows the rows on a GPU (`Follower`) has kept them already.
        tally: (3, R) uint8 of pictures on a GPU, R at least N: how bright each is, in steps of 1/255, whether it asks
            to be looked at again, and room for the judge's counts, so that all cross at once. It holds as long as
            `device_rows`.
    """

    track: Literal["video", "audio", "stream"]
    columns: tuple[str, ...]
    slots: Tensor
    start: Tensor
    known_until: Tensor
    values: Tensor
    device_rows: tuple[Tensor, Tensor, Tensor] | None = None
    kept: bool = False
    tally: Tensor | None = None


class Follower(Protocol):
    """Who keeps something of every row on a GPU: its launches are recorded with those of the kernels."""

    def before(self, slots: npt.NDArray[np.int64], start: npt.NDArray[np.float64]) -> None:
        """Rows of these slots and media seconds are about to be measured; on the host."""

    def keep(self, slots: Tensor, start: Tensor, values: Tensor) -> None:
        """They are measured: launches on the device, as of `engine.measure.rows.Part.fill`.

        Args:
            slots, start: (N,) on the device; rows without a picture lie in the slot after the last.
            values: (N, columns) float64.
        """
