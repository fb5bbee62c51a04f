"""Sound through real coders: as a broadcaster would code it, starved of bits, and with packets lost or broken.

What was lost is concealed as real decoders do it: libav's leave out what they did not get or make of broken bytes what
they can, and libopus, where it is installed, guesses how the sound went on. Times stay as they were: what a decoder
leaves out is silence, as a player's clock goes on.
"""

import ctypes
import ctypes.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any, Final

import av
import numpy as np

from models.synthesis.sound import SAMPLE_RATE, Samples


@dataclass(frozen=True, slots=True)
class Coder:
    """A coder of sound.

    Args:
        encoder, decoder: libav's names.
        sample_format: that the encoder takes.
        rates: sampling rates that it knows, hertz.
        starved: bits per second and channel from which to which it cannot but be heard.
        plenty: likewise, with which it can hardly be heard.
    """

    encoder: str
    decoder: str
    sample_format: str
    rates: tuple[int, ...]
    starved: tuple[int, int]
    plenty: tuple[int, int]


CODERS: Final[dict[str, Coder]] = {
    "aac": Coder("aac", "aac", "fltp", (48_000, 44_100, 32_000, 22_050), (8_000, 22_000), (80_000, 128_000)),
    "mp3": Coder("libmp3lame", "mp3float", "fltp", (48_000, 44_100, 32_000, 22_050, 16_000), (8_000, 20_000),
                 (80_000, 128_000)),
    "opus": Coder("libopus", "opus", "flt", (48_000,), (3_000, 8_000), (56_000, 96_000)),
    "mp2": Coder("mp2", "mp2float", "s16", (48_000, 44_100, 32_000), (32_000, 40_000), (112_000, 160_000)),
    "ac3": Coder("ac3", "ac3", "fltp", (48_000, 44_100), (16_000, 32_000), (112_000, 192_000)),
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class CodedSound:
    """A coded stretch of sound.

    Args:
        coder: that made it.
        rate: hertz.
        channels: 1 or 2.
        packets: pts in samples, and bytes.
        extradata: that the decoder needs.
        samples: how many there were before, at SAMPLE_RATE.
    """

    coder: Coder
    rate: int
    channels: int
    packets: tuple[tuple[int, bytes], ...]
    extradata: bytes | None
    samples: int


def encode(samples: Samples, coder: Coder, *, rate: int, bits_per_second: int) -> CodedSound:
    """Code sound.

    Args:
        samples: (1 or 2, n) at SAMPLE_RATE.
        coder: one of CODERS.
        rate: one of its rates.
        bits_per_second: of all channels.
    Raises: av.FFmpegError if the encoder takes no such sound.
    """
    layout = "mono" if len(samples) == 1 else "stereo"
    context: Any = av.CodecContext.create(coder.encoder, "w")
    context.sample_rate, context.layout, context.format = rate, layout, coder.sample_format
    context.bit_rate, context.time_base, context.thread_count = bits_per_second, Fraction(1, rate), 1
    if coder.encoder == "aac":
        context.options = {"aac_coder": "fast"}  # a fifth of the time, for next to no difference
    context.open()
    resampler = av.AudioResampler(format=coder.sample_format, layout=layout, rate=rate,
                                  frame_size=context.frame_size or 1024)  # fmt: skip
    packets: list[tuple[int, bytes]] = []
    at = 0
    for frame in (*resampler.resample(_frame(samples)), *resampler.resample(None)):
        frame.pts, frame.time_base = at, Fraction(1, rate)
        at += frame.samples
        packets += ((packet.pts or 0, bytes(packet)) for packet in context.encode(frame))
    packets += ((packet.pts or 0, bytes(packet)) for packet in context.encode(None))
    return CodedSound(coder, rate, len(samples), tuple(packets), context.extradata, samples.shape[1])


def decode(coded: CodedSound, spoil: Callable[[int, bytes], bytes | None] | None = None) -> Samples:
    """What libav makes of it.

    Args:
        coded: the sound.
        spoil: gives what arrives of a packet, by its number and bytes; None where nothing does.
    """
    context: Any = av.CodecContext.create(coded.coder.decoder, "r")
    context.sample_rate, context.layout = coded.rate, "mono" if coded.channels == 1 else "stereo"
    context.thread_count = 1
    if coded.extradata:
        context.extradata = coded.extradata
    out = np.zeros((coded.channels, coded.samples * coded.rate // SAMPLE_RATE + 8192), np.float32)
    for number, (pts, data) in enumerate(coded.packets):
        arrived = data if spoil is None else spoil(number, data)
        if not arrived:
            continue
        packet = av.Packet(arrived)
        packet.pts, packet.time_base = pts, Fraction(1, coded.rate)
        try:
            frames = context.decode(packet)
        except (av.error.FFmpegError, ValueError):
            continue
        for frame in frames:
            _put(out, frame, coded.channels, pts)
    return resampled(out, coded.rate, coded.samples)


def _put(out: Samples, frame: Any, channels: int, otherwise: int) -> None:
    """A decoded frame at its time."""
    made = frame.to_ndarray()
    if not frame.format.is_planar:
        made = made.reshape(-1, frame.layout.nb_channels).T
    if made.dtype != np.float32:
        made = made.astype(np.float32) / np.float32(-float(np.iinfo(made.dtype).min))
    made = np.nan_to_num(made[np.minimum(np.arange(channels), len(made) - 1)], posinf=1.0, neginf=-1.0)
    at = otherwise if frame.pts is None else int(frame.pts)
    first, last = max(0, at), min(out.shape[1], at + made.shape[1])
    if last > first:
        out[:, first:last] = np.clip(made[:, first - at : last - at], -2.0, 2.0)


def _frame(samples: Samples, rate: int = SAMPLE_RATE) -> Any:
    layout = "mono" if len(samples) == 1 else "stereo"
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32), format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    return frame


def resampled(samples: Samples, rate: int, count: int) -> Samples:
    """`count` samples at SAMPLE_RATE, of samples at another rate."""
    if rate != SAMPLE_RATE:
        resampler = av.AudioResampler(format="fltp", layout="mono" if len(samples) == 1 else "stereo",
                                      rate=SAMPLE_RATE)  # fmt: skip
        parts = [*resampler.resample(_frame(samples, rate)), *resampler.resample(None)]
        samples = np.concatenate([part.to_ndarray() for part in parts], axis=1).astype(np.float32)
    made = samples[:, :count]
    return np.pad(made, ((0, 0), (0, count - made.shape[1])))


def lost_packets(count: int, rng: np.random.Generator) -> frozenset[int]:
    """Numbers of packets that do not arrive: one to four bursts of one to six, not among the first two."""
    lost: set[int] = set()
    for _ in range(int(rng.integers(1, 5))):
        first = int(rng.integers(2, max(3, count)))
        lost |= set(range(first, first + int(rng.integers(1, 7))))
    return frozenset(lost)


def broken(data: bytes, rng: np.random.Generator) -> bytes:
    """A packet of which a few bytes beyond the header are others."""
    made = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        if len(made) > 8:
            made[int(rng.integers(6, len(made)))] ^= int(rng.integers(1, 256))
    return bytes(made)


@cache
def _libopus() -> Any | None:
    """The library, where it is installed."""
    name = ctypes.util.find_library("opus")
    if name is None:
        return None
    library = ctypes.CDLL(name)
    library.opus_decoder_create.restype = ctypes.c_void_p
    library.opus_decoder_create.argtypes = [ctypes.c_int32, ctypes.c_int, ctypes.c_void_p]
    library.opus_decode_float.argtypes = [
        ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int, ctypes.c_int,
    ]  # fmt: skip
    library.opus_decoder_destroy.argtypes = [ctypes.c_void_p]
    return library


def concealed_by_opus(coded: CodedSound, lost: frozenset[int]) -> Samples | None:
    """What libopus makes of Opus packets of which some are lost; None where it is not installed."""
    library = _libopus()
    if library is None:
        return None
    error = ctypes.c_int()
    decoder = library.opus_decoder_create(SAMPLE_RATE, coded.channels, ctypes.byref(error))
    if error.value or not decoder:
        return None
    times = [pts for pts, _ in coded.packets]
    length = times[1] - times[0] if len(times) > 1 else 960
    out = np.zeros((coded.channels, coded.samples + 8192), np.float32)
    room = np.zeros((5760, coded.channels), np.float32)
    try:
        for number, (pts, data) in enumerate(coded.packets):
            gone = number in lost
            made = library.opus_decode_float(
                decoder, None if gone else data, 0 if gone else len(data), room.ctypes.data, length if gone else 5760, 0
            )
            if made <= 0:
                continue
            first, last = max(0, pts), min(out.shape[1], pts + made)
            if last > first:
                out[:, first:last] = room[first - pts : last - pts].T
    finally:
        library.opus_decoder_destroy(decoder)
    return out[:, : coded.samples]


def concealed_by_repeating(samples: Samples, gaps: Sequence[tuple[int, int]], fade: float) -> Samples:
    """Gaps filled as receivers do that know no better: the 20 ms before them again and again, softer each time.

    Args:
        samples: (channels, n).
        gaps: first sample and the one after the last.
        fade: of each repetition, 0 to 1; 0 mutes.
    """
    made, length = samples.copy(), SAMPLE_RATE // 50
    for first, last in gaps:
        if first < length:
            continue
        unit = made[:, first - length : first].copy()
        for turn, at in enumerate(range(first, last, length)):
            part = min(length, last - at)
            made[:, at : at + part] = unit[:, :part] * np.float32(fade ** (turn + 1))
    return made
