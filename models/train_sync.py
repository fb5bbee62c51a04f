"""`avjury train sync`: rows of clips whose sound is in time, and a network that learns when it is not.

No labels: sound at its own place is right, the same sound shifted is wrong, and the clip of another one never fits.
Everything is kept in one folder, as by `avjury train artifact`.
"""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import av.error
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from models.sync_net import REACH, SyncNet
from models.sync_signals import STEP_SECONDS, motion_signal, sound_rows
from models.synthesis.held_out import is_held_out
from models.synthesis.sync_clip import read_sync_rows
from models.train import clips_of
from models.training_state import load_state, save_state, write_curve
from models.weight_files import write_weights

BATCH: Final = 32
# Steps of a window in training: shorter than in use, so that few clips give many.
STEPS: Final = 75
SAVE_SECONDS: Final = 60.0
MOST_SECONDS: Final = 120.0
BATCHES_PER_EPOCH: Final = 50

Say = Callable[[str], None]
Rows = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class SyncTrainSettings:
    """How to train; as `TrainSettings`, of clips with pictures and sound that are in time."""

    media: Path
    work: Path
    weights: Path
    minutes: float = 30.0
    seed: int = 1
    threads: int = 1
    skip: tuple[str, ...] = ()
    windows: int = 0
    device: str = "cpu"
    rate: float = 1e-3


def sync_rows(settings: SyncTrainSettings, held_out: bool, say: Say) -> list[tuple[str, Rows]]:
    """The rows of every clip that has pictures and sound, read where they are not there yet."""
    found = []
    for clip in clips_of(settings.media, settings.skip):
        if is_held_out(clip.name) != held_out:
            continue
        path = settings.work / "rows" / f"{clip.name}.npz"
        if not path.exists():
            try:
                rows = read_sync_rows(clip, MOST_SECONDS)
            except (av.error.FFmpegError, ValueError, IndexError) as error:
                say(f"{clip.name}: left out: {error}")
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(".part.npz")
            np.savez(unfinished, allow_pickle=False, **rows)
            unfinished.replace(path)
            say(f"{clip.name}: {len(rows['tiles'])} pictures")
        with np.load(path) as file:
            found.append((clip.name, {name: file[name] for name in file.files}))
    return found


def window_of(rows: Rows, begin: float, steps: int, late: float = 0.0) -> tuple[Tensor, Tensor] | None:
    """Motion of a window, and the sound around it; None where there is nothing to judge by.

    Args:
        rows: of a clip.
        begin: media second.
        steps: of motion.
        late: sound is made so many seconds later than it is.
    """
    motion = motion_signal(rows["picture_times"], rows["tiles"], begin, steps)
    around = begin - REACH * STEP_SECONDS
    sound = sound_rows(rows["sound_times"] + late, rows["bands"], around, steps + 2 * REACH)
    if motion is None or sound is None:
        return None
    return torch.from_numpy(motion), torch.from_numpy(sound)


def spans(rows: Rows, steps: int) -> tuple[float, float]:
    """From when to when a window may begin."""
    first = max(float(rows["picture_times"][0]), float(rows["sound_times"][0]) + REACH * STEP_SECONDS) + 1.1
    last = min(float(rows["picture_times"][-1]), float(rows["sound_times"][-1]) - REACH * STEP_SECONDS) - 1.1
    return first, last - steps * STEP_SECONDS


def _batch(clips: Sequence[tuple[str, Rows]], rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor] | None:
    seen, heard, wanted = [], [], []
    for _ in range(20 * BATCH):
        _, rows = clips[int(rng.integers(len(clips)))]
        low, high = spans(rows, STEPS)
        if high <= low:
            continue
        shift = int(rng.integers(-REACH, REACH + 1))
        found = window_of(rows, float(rng.uniform(low, high)), STEPS, shift * STEP_SECONDS)
        if found is None:
            continue
        motion, sound = found
        if rng.random() < 0.5:  # as in a mirror
            motion = motion.reshape(2, 5, 5, -1).flip(2).reshape(motion.shape)
        seen.append(motion * float(rng.uniform(0.7, 1.4)))
        heard.append(sound + 0.1 * torch.from_numpy(rng.standard_normal(sound.shape).astype(np.float32)))
        wanted.append(REACH + shift)
        if len(seen) == BATCH:
            return torch.stack(seen), torch.stack(heard), torch.tensor(wanted)
    return None


def train_sync(settings: SyncTrainSettings, say: Say) -> Path:
    """Train until the minutes are over, going on from where an earlier start ended.

    Returns: the weights that were written.
    Raises: ValueError if no clip can be trained on.
    """
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    settings.work.mkdir(parents=True, exist_ok=True)
    device = torch.device(settings.device)
    clips = sync_rows(settings, held_out=False, say=say)
    net = SyncNet().to(device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=settings.rate, weight_decay=1e-2)
    state = settings.work / "state.safetensors"
    spent, step, epoch = load_state(state, net, optimizer) if state.exists() else (0.0, 0, 0)
    whole, saved, losses = settings.minutes * 60, time.monotonic(), list[float]()
    while spent < whole:
        before, began = spent, time.monotonic()
        rng = np.random.default_rng([settings.seed, epoch])
        net.train()
        for _ in range(BATCHES_PER_EPOCH):
            made = _batch(clips, rng) if clips else None
            if made is None:
                raise ValueError("no clip has pictures that move and sound, both for long enough")
            motion, sound, wanted = (part.to(device) for part in made)
            rate = settings.rate * (0.5 + 0.5 * math.cos(math.pi * min(spent / whole, 1.0))) + 1e-5
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss = functional.cross_entropy(net(motion, sound), wanted, label_smoothing=0.05)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            step += 1
            losses.append(float(loss.detach()))
            spent = before + time.monotonic() - began
            if time.monotonic() - saved >= SAVE_SECONDS or spent >= whole:
                saved = time.monotonic()
                row = {"seconds": round(spent, 1), "step": step, "epoch": epoch, "loss": float(np.mean(losses)),
                       "rate": rate}  # fmt: skip
                write_curve(settings.work / "curve.jsonl", row)
                say(f"{spent / 60:.1f} min, step {step}, epoch {epoch}: loss {row['loss']:.4f}")
                losses.clear()
                save_state(state, net, optimizer, (spent, step, epoch))
                _export(net, settings)
            if spent >= whole:
                break
        epoch += 1
        save_state(state, net, optimizer, (spent, step, epoch))
    _export(net, settings)
    return settings.weights


def _export(net: SyncNet, settings: SyncTrainSettings) -> None:
    about = {"network": "sync", "version": "1", "seed": str(settings.seed)}
    write_weights(settings.weights, copy.deepcopy(net).to("cpu").state_dict(), about)
