"""The sync network: what it is given, what it says of an offset, and its training."""

from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from frames import make_frame
from surfaces import surface
from talking_content import knowing_sync, rows_of_talk, talk

from engine.batch import Batcher
from engine.fingerprints import BANDS as PRINT_BANDS
from engine.fingerprints import Rows, SoundPrint
from engine.media import AudioBlock
from kernels.tile_stats import TILES, tile_stats
from models.evaluate_sync import _logistic, evaluate_sync
from models.sync_net import REACH, SyncNet, offset_of
from models.sync_signals import BANDS, MOTION_ROWS, SOUND_ROWS, motion_signal, sound_rows
from models.sync_weights import load_sync
from models.synthesis.sync_clip import band_rows, read_sync_rows, tile_rows
from models.train_sync import SyncTrainSettings, train_sync, window_of
from models.weight_files import WeightsError, write_weights


def test_tiles_of_training_are_those_that_the_engine_measures():
    luma = np.random.default_rng(1).integers(0, 256, (180, 320))
    chroma = np.full((90, 160), 128)
    shown = surface(make_frame(luma, chroma, chroma), 0.0, False, False)
    batch = Batcher(torch.device("cpu"), 1, 0.0).assemble([(0, shown)], {0: 0.1})
    measured = tile_stats(batch.frames, torch.zeros((1, 5), dtype=torch.int64))[0, 0]
    # The kernel looks at every second row of large tiles: of random samples the means are near, not the same.
    assert measured.shape == (TILES,)
    assert float(np.abs(tile_rows(luma, 256) - measured.numpy()).max()) < 0.06


def test_bands_of_training_are_those_of_a_fingerprint():
    sound = np.random.default_rng(2).normal(0, 0.1, (2, 48_000)).astype(np.float32)
    times, bands = band_rows(sound)
    rows, print_ = Rows(PRINT_BANDS, torch.device("cpu")), SoundPrint()
    for n in range(10):
        print_.take(AudioBlock("s", n / 10, sound[:, 4800 * n : 4800 * (n + 1)], 4800, (1.0, 1.0), 1.0))
    print_.taken(rows)
    at, taken = rows.between(0.0, 1.0)
    assert np.allclose(at, times[: len(at)])
    assert len(at) >= len(times) - 1
    # float32 spectra of other lengths of memory: the same sums in the same order, but for their last bits.
    assert np.allclose(taken.numpy(), bands[: len(at)], atol=1e-4)


def test_what_stands_still_or_is_silent_has_no_signal():
    times, tiles = np.arange(100) / 25, np.full((100, 144), 0.4, np.float32)
    assert motion_signal(times, tiles, 0.5, 50) is None
    tiles[::2, 40] += 0.3
    moving = motion_signal(times, tiles, 0.52, 50)
    assert moving is not None
    assert moving.shape == (MOTION_ROWS, 50)
    assert motion_signal(np.delete(times, slice(30, 60)), np.delete(tiles, slice(30, 60), 0), 0.52, 50) is None
    at = np.arange(400) / 100
    assert sound_rows(at, np.zeros((400, BANDS), np.float32), 0.5, 50) is None
    loud = np.random.default_rng(0).normal(0, 2, (400, BANDS)).astype(np.float32)
    assert sound_rows(at, loud, 0.5, 50).shape == (SOUND_ROWS, 50)


def test_the_offset_is_between_steps_and_the_margin_to_what_is_far_away():
    logits = torch.zeros(2 * REACH + 1)
    logits[REACH + 4 : REACH + 7] = torch.tensor([2.0, 5.0, 4.0])
    logits[2] = 3.0
    said = offset_of(logits)
    assert said.seconds == pytest.approx((5 + 0.25) * 0.04)
    assert said.margin == pytest.approx(2.0)


@pytest.mark.parametrize("late", [-0.6, -0.2, 0.0, 0.2, 0.6])
def test_a_network_that_knows_finds_the_offset_of_what_moves_as_it_sounds(late):
    rows = rows_of_talk(seconds=16.0, late=late, seed=3)
    motion, sound = window_of(rows, 2.5, 250)
    with torch.inference_mode():
        said = offset_of(knowing_sync().net(motion[None], sound[None])[0])
    assert said.seconds == pytest.approx(late, abs=0.04)
    assert said.margin > 1.0


def test_evaluation_tells_a_network_that_knows_from_one_that_does_not():
    clips = [(f"clip{n}", rows_of_talk(seconds=16.0, late=0.0, seed=n)) for n in range(3)]
    knows = evaluate_sync(knowing_sync().net, clips)
    torch.manual_seed(1)
    guesses = evaluate_sync(SyncNet().eval(), clips)
    half = {name: told["at"][2] for name, told in (("knows", knows), ("guesses", guesses))}
    assert half["knows"]["within_40_ms"] > 0.9
    assert half["guesses"]["within_40_ms"] < 0.4
    assert half["knows"]["foreign_sound_judged"] < 0.2
    assert knows["margin_that_reaches_the_goal"] is not None


def test_the_logistic_curve_is_that_of_the_share():
    rng = np.random.default_rng(0)
    margins = rng.uniform(0, 4, 4000)
    right = rng.random(4000) < 1 / (1 + np.exp(-(2 * margins - 3)))
    slope, bias = _logistic(margins, right)
    assert slope == pytest.approx(2, abs=0.2)
    assert bias == pytest.approx(-3, abs=0.3)


def test_weights_that_nobody_has_tried_say_nothing(tmp_path):
    path = tmp_path / "sync.safetensors"
    write_weights(path, SyncNet().state_dict(), {"network": "sync"})
    assert load_sync(path).margin == float("inf")
    write_weights(path, SyncNet().state_dict(), {"network": "sync", "margin": "1.5", "slope": "2", "bias": "-3"})
    sync = load_sync(path)
    assert sync.margin == 1.5
    assert sync.confidence(1.5) == pytest.approx(0.5)
    write_weights(path, SyncNet().state_dict(), {"network": "sync", "margin": "much"})
    with pytest.raises(WeightsError, match="no number"):
        load_sync(path)


def write_talk(path, seconds, late):
    """A small clip of which a part is brighter while it sounds."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=Fraction(25), options={"preset": "ultrafast", "crf": "12"})
        video.width, video.height, video.pix_fmt = 160, 90, "yuv420p"
        audio = container.add_stream("aac", rate=48_000, layout="mono")
        pictures, sound = talk(seconds, late, seed=5)
        for n, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.concatenate([picture, np.full((45, 160), 128, np.uint8)]), "yuv420p")
            frame.pts, frame.time_base = n, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for at in range(0, len(sound) - 1023, 1024):
            block = av.AudioFrame.from_ndarray(sound[None, at : at + 1024], format="fltp", layout="mono")
            block.sample_rate, block.pts, block.time_base = 48_000, at, Fraction(1, 48_000)
            container.mux(audio.encode(block))
        container.mux(audio.encode(None))


@pytest.mark.slow
def test_training_goes_on_where_it_ended(tmp_path):
    (tmp_path / "media").mkdir()
    for name in ("a.mp4", "b.mp4", "c.mp4", "d.mp4"):
        write_talk(tmp_path / "media" / name, 12.0, 0.0)
    rows = read_sync_rows(tmp_path / "media" / "a.mp4", 60.0)
    assert len(rows["tiles"]) == 300
    said, weights, threads = [], tmp_path / "w.safetensors", torch.get_num_threads()
    try:
        for minutes in (0.03, 0.06):
            train_sync(SyncTrainSettings(tmp_path / "media", tmp_path / "work", weights, minutes), said.append)
    finally:
        torch.set_num_threads(threads)
    steps = [int(line.split("step ")[1].split(",")[0]) for line in said if "step" in line]
    assert steps[-1] > steps[0] > 0
    assert load_sync(weights).net is not None


def test_the_shipped_weights_are_read_and_say_nothing_by_themselves():
    assert load_sync().margin == float("inf")
