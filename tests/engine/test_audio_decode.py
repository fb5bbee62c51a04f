"""The audio decoder: blocks of 100 ms, times by counting samples, gaps, formats."""

import re
import struct
import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.audio.resampler import AudioResampler
from made_clips import make, tone
from media import ffmpeg_exe, media_dir

from engine.decode.audio import SoftwareAudioDecoder, clip_level, loudness_weights
from engine.errors import DecodeError
from engine.ingest.source import Source
from engine.media import AudioBlock, Packet


def decode(path: Path, lost: tuple[float, float] | None = None) -> tuple[list[AudioBlock], SoftwareAudioDecoder]:
    """Decode a clip's sound; packets whose time is within `lost` never arrive."""
    with Source(str(path), stream="s") as source:
        info = source.open()
        assert info.audio is not None
        decoder = SoftwareAudioDecoder(info.audio, "s")
        blocks: list[AudioBlock] = []
        for packet in source.packets():
            if packet.track == "audio" and not (lost and packet.pts is not None and lost[0] <= packet.pts < lost[1]):
                blocks += decoder.decode(packet)
        return blocks + decoder.flush(), decoder


def samples(blocks: list[AudioBlock]) -> np.ndarray:
    return np.concatenate([b.samples[:, : b.valid] for b in blocks], axis=1)


def test_blocks_are_a_tenth_of_a_second_and_the_last_is_partly_valid() -> None:
    blocks, decoder = decode(make("sound225.wav", video=None, audio="pcm_s16le", seconds=2.25))
    assert [b.valid for b in blocks] == [4800] * 22 + [2400]
    assert [round(b.pts, 6) for b in blocks] == [round(i / 10, 6) for i in range(23)]
    last = blocks[-1].samples
    assert last.shape == (2, 4800)
    assert last.dtype == np.float32
    assert last.flags.c_contiguous
    assert not last[:, 2400:].any()
    assert decoder.errors == 0
    decoder.close()
    decoder.close()
    assert decoder.flush() == []


def test_samples_at_48_khz_are_those_of_the_file() -> None:
    blocks, _ = decode(make("exact.wav", video=None, audio="pcm_s16le", seconds=1.0))
    assert np.abs(samples(blocks) - tone(1.0, 48_000, 2)).max() <= 1 / 32768


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 96_000])
def test_resampling_moves_nothing(rate: int) -> None:
    blocks, _ = decode(make(f"sound{rate}.wav", video=None, audio="pcm_s16le", sample_rate=rate, seconds=1.0))
    made = samples(blocks)
    assert abs(made.shape[1] - 48_000) <= 1
    assert blocks[0].pts == 0.0
    middle = slice(4_000, 44_000)
    # A tenth of a sample's delay of a 1 kHz tone would differ by 0.0033.
    assert np.abs(made[:, middle] - tone(1.0, 48_000, 2)[:, middle]).max() < 0.002


@pytest.mark.parametrize(
    ("layout", "weights"),
    [
        ("mono", (1.0,)),
        ("stereo", (1.0, 1.0)),
        ("5.1", (1.0, 1.0, 1.0, 0.0, 1.41, 1.41)),
        ("5.1(side)", (1.0, 1.0, 1.0, 0.0, 1.41, 1.41)),
        ("7.1", (1.0, 1.0, 1.0, 0.0, 1.41, 1.41, 1.41, 1.41)),
    ],
)
def test_channels_are_kept_with_their_loudness_weights(layout: str, weights: tuple[float, ...]) -> None:
    blocks, _ = decode(make(f"{layout}.wav", video=None, audio="pcm_s16le", layout=layout, seconds=0.3))
    assert blocks[0].weights == weights
    assert blocks[0].samples.shape == (len(weights), 4800)
    assert np.abs(blocks[0].samples).max(axis=1) == pytest.approx([0.25] * len(weights), abs=0.001)


def test_more_than_eight_channels_are_cut_to_eight() -> None:
    blocks, _ = decode(
        make("sixteen.wav", video=None, audio="pcm_s16le", layout="hexadecagonal", seconds=0.3, sample_rate=44_100)
    )
    assert blocks[0].samples.shape == (8, 4800)
    assert len(blocks[0].weights) == 8


def test_the_low_frequency_channel_has_no_weight() -> None:
    assert loudness_weights(("FL", "LFE", "BC", "TFL")) == (1.0, 0.0, 1.41, 1.0)


def test_the_highest_codes_count_as_full_scale_and_no_others() -> None:
    for name, bits in (("s16", 16), ("s16p", 16), ("u8", 8), ("s32", 24)):
        full = 2 ** (bits - 1)
        assert np.float32((full - 1) / full) >= clip_level(name) > np.float32((full - 2) / full)
    assert clip_level("fltp") == clip_level("dblp") == 1.0


def test_a_gap_ends_the_block_and_begins_a_new_one_at_its_time() -> None:
    path = make("gap.mkv", video=None, audio="pcm_s16le", seconds=3.0)
    blocks, _ = decode(path, lost=(1.03, 1.97))
    cut = next(i for i, b in enumerate(blocks) if b.valid < 4800)
    assert blocks[cut].pts == pytest.approx(1.0, abs=0.001)
    end = blocks[cut].pts + blocks[cut].valid / 48_000
    assert end == pytest.approx(1.03, abs=0.0225)
    assert blocks[cut + 1].pts == pytest.approx(1.97, abs=0.0225)
    assert blocks[cut + 1].valid == 4800
    assert not blocks[cut].samples[:, blocks[cut].valid :].any()
    assert blocks[-1].pts + blocks[-1].valid / 48_000 == pytest.approx(3.0, abs=0.002)


def test_one_lost_frame_moves_the_time_without_breaking_the_block() -> None:
    path = make("loss.mkv", video=None, audio="pcm_s16le", seconds=2.0)
    blocks, _ = decode(path, lost=(1.0, 1.02))
    assert [b.valid for b in blocks[:-1]] == [4800] * (len(blocks) - 1)
    assert blocks[-1].pts + blocks[-1].valid / 48_000 == pytest.approx(2.0, abs=0.003)


def test_rounded_timestamps_leave_the_blocks_evenly_spaced() -> None:
    blocks, _ = decode(make("ms.mkv", video=None, audio="aac", sample_rate=44_100, seconds=3.0))
    steps = np.diff([b.pts for b in blocks])
    assert steps == pytest.approx(0.1, abs=1e-9)


def test_the_encoders_padding_is_not_heard() -> None:
    blocks, _ = decode(make("padded.m4a", video=None, audio="aac", seconds=1.01))
    assert blocks[0].pts == pytest.approx(0.0, abs=0.001)
    assert samples(blocks).shape[1] == pytest.approx(1.01 * 48_000, abs=2)


def test_damaged_packets_are_counted_and_decoding_goes_on() -> None:
    source = Source(str(make("harmed.mp4", video=None)), stream="s")
    info = source.open()
    assert info.audio is not None
    decoder = SoftwareAudioDecoder(info.audio, "s")
    blocks: list[AudioBlock] = []
    rng = np.random.default_rng(5)
    for number, packet in enumerate(source.packets()):
        if 30 <= number < 34:
            payload: Any = packet.payload
            payload.update(rng.bytes(payload.size))
        blocks += decoder.decode(packet)
    blocks += decoder.flush()
    assert decoder.errors > 0
    assert blocks[-1].pts > 1.8


def test_a_rate_that_no_filter_takes_is_told(tmp_path: Path) -> None:
    """Of a damaged header, found by `avjury bench mutations`: 1.5 GHz, for which libav's filter has no memory."""
    rate, sound = 0x5B00AC44, bytes(8000)
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate & 0xFFFFFFFF, 2, 16)
    data = head + struct.pack("<4sI", b"data", len(sound)) + sound
    path = tmp_path / "damaged.wav"
    path.write_bytes(struct.pack("<4sI4s", b"RIFF", 4 + len(data), b"WAVE") + data)
    with pytest.raises(DecodeError, match="no filter takes"):
        decode(path)


def test_decoding_goes_on_after_a_flush() -> None:
    source = Source(str(make("again.wav", video=None, audio="pcm_s16le", seconds=1.0)), stream="s")
    info = source.open()
    assert info.audio is not None
    decoder = SoftwareAudioDecoder(info.audio, "s")
    packets: list[Packet] = list(source.packets())
    first = [b for p in packets for b in decoder.decode(p)] + decoder.flush()
    again = [b for p in packets for b in decoder.decode(p)] + decoder.flush()
    assert [b.pts for b in first] == [b.pts for b in again]
    assert np.array_equal(samples(first), samples(again))


def real_sounds() -> list[Path]:
    folder = media_dir()
    if folder is None:
        return []
    return sorted(p for sub in ("real_av", "broken", "known_answer") for p in (folder / sub).iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("path", real_sounds(), ids=lambda p: p.name)
def test_real_sound_lies_where_the_ffmpeg_program_has_it(path: Path) -> None:
    with Source(str(path)) as source:
        info = source.open()
        tracks = [t.handle.index for t in (info.audio, info.video) if t is not None]
    if info.audio is None:
        pytest.skip("no sound")
    maps = [word for index in tracks for word in ("-map", f"0:{index}")]
    command = [ffmpeg_exe(), "-hide_banner", "-nostdin", "-i", str(path), *maps, "-af", "ashowinfo", "-f", "null", "-"]
    told = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=120, check=False).stderr
    shown = re.findall(r"Parsed_ashowinfo.*? pts_time:(\S+).*? rate:(\d+) nb_samples:(\d+)", told)
    blocks, _ = decode(path)
    if not shown:
        assert blocks == []
        return
    start, (last, rate, count) = float(shown[0][0]), shown[-1]
    end = float(last) + int(count) / int(rate)
    assert blocks[0].pts == pytest.approx(start, abs=0.003)
    assert blocks[-1].pts + blocks[-1].valid / 48_000 == pytest.approx(end, abs=0.003)
    heard = sum(int(count) / int(rate) for _, rate, count in shown)
    assert sum(b.valid for b in blocks) / 48_000 == pytest.approx(heard, abs=0.003)


def _resampled_one_by_one(path: Path) -> np.ndarray:
    """A file's sound as libswresample gives it, a frame at a time."""
    with av.open(str(path)) as container:
        resampler = AudioResampler(format="flt", layout=container.streams.audio[0].layout, rate=48_000)
        frames: list[Any] = []
        for frame in [*container.decode(audio=0), None]:
            if frame is not None:
                frame.pts = None
            frames += resampler.resample(frame)
        return np.concatenate([f.to_ndarray().reshape(-1, f.layout.nb_channels).T for f in frames], axis=1)


@pytest.mark.parametrize(
    ("codec", "rate"),
    [
        ("pcm_u8", 48_000),
        ("pcm_s16le", 48_000),
        ("pcm_s24le", 48_000),
        ("pcm_s32le", 48_000),
        ("pcm_f32le", 48_000),
        ("pcm_f64le", 48_000),
        ("pcm_s16le", 44_100),
        ("pcm_s24le", 96_000),
        ("pcm_f64le", 22_050),
        ("pcm_u8", 8_000),
    ],
)
def test_samples_are_to_the_bit_what_libswresample_makes_of_each_frame(codec: str, rate: int) -> None:
    path = make(f"bits_{codec}_{rate}.wav", video=None, audio=codec, sample_rate=rate, seconds=1.3)
    blocks, _ = decode(path)
    assert np.array_equal(samples(blocks), _resampled_one_by_one(path))


def test_a_block_comes_with_the_packet_that_completes_it() -> None:
    path = make("sound44100.ts", video=None, audio="aac", sample_rate=44_100, seconds=1.0)
    frame_seconds = 1024 / 44_100
    came = []
    with Source(str(path), stream="s") as source:
        info = source.open()
        assert info.audio is not None
        decoder = SoftwareAudioDecoder(info.audio, "s")
        for packet in source.packets():
            assert packet.pts is not None
            came += [packet.pts + frame_seconds - block.pts for block in decoder.decode(packet)]
    # Seconds from a block's beginning to the end of the packet with which it came; the filter holds some samples back.
    assert len(came) >= 9
    assert all(0.1 <= seconds < 0.1 + 1.1 * frame_seconds for seconds in came)
