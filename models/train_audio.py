"""`avjury train audio`: makes the training data where it is not there yet, and trains for a given time.

Everything is kept in one folder, as by `avjury train artifact`: the windows of each source, the state to go on from,
and the curves.
"""

import copy
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import av.error
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from models.audio_hearing import FLOOR_DB, MAINS_LINES, Heard
from models.audio_labels import CONTENT, LABELS
from models.audio_net import AudioNet
from models.synthesis.held_out import is_held_out, seed_of
from models.synthesis.made_sound import has_speech
from models.synthesis.sound_cases import UNKNOWN, SoundSource, clip_source, made_source, make_sound_shard, unpacked
from models.training_state import load_state, save_state, write_curve
from models.weight_files import write_weights

SOUND_SUFFIXES: Final = frozenset(
    (".mp4", ".mov", ".mkv", ".webm", ".ts", ".m2ts", ".mpg", ".mpeg", ".avi", ".mxf", ".flv", ".wav", ".flac", ".ogg",
     ".opus", ".mp3", ".m4a", ".aac", ".tta")
)  # fmt: skip
# Made-up sounds: speech, music and other noises in turn. Of each kind one in three is held out.
MADE: Final = 18
BATCH: Final = 32
SAVE_SECONDS: Final = 60.0
# So often all windows are heard before others join them; those of so many turns are kept.
PASSES: Final = 10
KEPT_TURNS: Final = 4
_ROOM_DB: Final = 3.0
_UNSURE: Final = 0.05
_ROOM_POINTS: Final = 7
AVERAGED_STEPS: Final = 200
CONTENT_FILE: Final = "content.json"
_KEPT: Final = ("mel", "shape", "tones", "truth", "kind")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class AudioTrainSettings:
    """How to train.

    Args:
        media: folder of clean clips and sound files. A file `content.json` in it may say what some of them are:
            their names, each with a list of "speech", "music", "other".
        work: folder of what is made on the way.
        weights: file to write.
        minutes: how long to train in all, over all starts; what it takes to make the windows is not counted.
        seed: of what is random.
        threads: of torch.
        skip: clips whose name begins so are left out, as damaged ones.
        windows: of each source and turn.
        device: where to train.
        rate: highest rate of learning.
    """

    media: Path
    work: Path
    weights: Path
    minutes: float = 60.0
    seed: int = 1
    threads: int = 1
    skip: tuple[str, ...] = ()
    windows: int = 24
    device: str = "cpu"
    rate: float = 2e-3
    made: int = field(default=MADE)


def sounds_of(media: Path, skip: tuple[str, ...] = ()) -> list[Path]:
    """The clips and sound files of a folder and of those in it, in the order of their names."""
    found = (path for path in sorted(media.rglob("*")) if path.suffix.lower() in SOUND_SUFFIXES)
    return [path for path in found if not path.name.startswith(skip or ("\0",))]


def content_of(media: Path) -> dict[str, tuple[str, ...]]:
    """What is known of the content of a folder's files, by their names.

    Raises: ValueError if the file that says so is not what it should be.
    """
    path = media / CONTENT_FILE
    if not path.exists():
        return {}
    told = json.loads(path.read_text(encoding="utf-8"))
    for name, kinds in told.items():
        if not isinstance(kinds, list) or not set(kinds) <= set(CONTENT):
            raise ValueError(f"{path}: {name} is {kinds!r}, not a list of {', '.join(CONTENT)}")
    return {name: tuple(kinds) for name, kinds in told.items()}


def sound_sources(settings: AudioTrainSettings, held_out: bool) -> list[Path | int]:
    """The sources that are trained on, or those that are held out: files, and numbers of made-up sounds."""
    real: list[Path | int] = [p for p in sounds_of(settings.media, settings.skip) if is_held_out(p.name) == held_out]
    made = [n for n in range(settings.made) if (n // len(CONTENT) % 3 == 2) == held_out]
    return real + [n for n in made if CONTENT[n % len(CONTENT)] != "speech" or has_speech()]


def make_sound_shards(settings: AudioTrainSettings, held_out: bool, say: Say, turn: int = 0) -> list[Path]:
    """The windows of every source, made where they are not there yet.

    Args:
        settings: which sources, and how many windows of each.
        held_out: those that are not trained on.
        say: gets a line for each source.
        turn: each turn has other windows, spoilt in other ways.
    """
    content, paths = content_of(settings.media), []
    of_this_side = sound_sources(settings, held_out)
    for source in of_this_side:
        path = _shard_path(settings.work, source, turn)
        if not path.exists():
            try:
                opened = _opened(source, settings.seed, content)
                beside = _opened(_another(of_this_side, path.name, settings.seed + turn), settings.seed, content)
            except (av.error.FFmpegError, ValueError, IndexError) as error:
                say(f"{source}: left out: {error}")
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            shard = make_sound_shard(opened, settings.seed + 1000 * turn, settings.windows, beside)
            unfinished = path.with_suffix(".part.npz")
            np.savez(unfinished, allow_pickle=False, **dict(shard))
            unfinished.replace(path)
            say(f"{path.stem}: {len(shard['mel'])} windows")
        paths.append(path)
    return paths


def _another(sources: list[Path | int], name: str, seed: int) -> Path | int:
    """Any of the sources, by a shard's name: what is heard along with it is on its side, trained on or held out."""
    return sources[int(np.random.default_rng([seed, *seed_of(name)]).integers(len(sources)))]


def _opened(source: Path | int, seed: int, content: dict[str, tuple[str, ...]]) -> SoundSource:
    if isinstance(source, int):
        return made_source(source, seed)
    return clip_source(source, content.get(source.name))


def _shard_path(work: Path, source: Path | int, turn: int) -> Path:
    folder = "windows" if turn == 0 else f"windows-{turn}"
    return work / folder / f"{source.name if isinstance(source, Path) else f'made-{source}'}.npz"


class Windows:
    """The windows of many sources in memory.

    Args:
        paths: of the shards.
    """

    def __init__(self, paths: list[Path]) -> None:
        shards: list[dict[str, npt.NDArray[Any]]] = []
        for path in paths:
            with np.load(path) as file:
                shards.append({name: file[name] for name in _KEPT})
        self.mel, self.shape, self.tones, self.truth, self.kind = (
            np.concatenate([shard[name] for shard in shards]) for name in _KEPT
        )
        self.source = np.repeat(np.arange(len(paths)), [len(shard["mel"]) for shard in shards])

    def heard(self, index: npt.NDArray[np.integer]) -> Heard:
        """What the network is given of some of them."""
        return Heard(
            unpacked(torch.from_numpy(self.mel[index])),
            torch.from_numpy(self.shape[index]).float(),
            torch.from_numpy(self.tones[index]).float(),
        )

    def batches(self, rng: np.random.Generator) -> Iterator[tuple[Heard, Tensor]]:
        """All windows once, in another order, and otherwise loud, bright and placed at random."""
        order = rng.permutation(len(self.mel))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            index = order[start : start + BATCH]
            mel, shape, tones = self.heard(index)
            later = int(rng.integers(mel.shape[3]))
            mel, shape = torch.roll(mel, later, dims=3), torch.roll(shape, later, dims=2)
            count, bands = len(index), mel.shape[2]
            louder = torch.from_numpy(rng.normal(0, 2.5, (count, 1, 1, 1)).astype(np.float32))
            tilt = torch.from_numpy(rng.normal(0, 2.0, (count, 1, 1, 1)).astype(np.float32))
            mel = mel + louder + tilt * torch.linspace(-1, 1, bands)[None, None, :, None]
            mel = mel + _other_room(count, bands, rng)
            # The lines of the mains lie at the lower end of the bands; how far they stand out stays as it is.
            level = (louder - tilt)[:, 0, 0] * (torch.arange(tones.shape[1]) >= len(MAINS_LINES))
            yield Heard(mel.clamp(min=FLOOR_DB), shape, tones + level), torch.from_numpy(self.truth[index])


def _other_room(count: int, bands: int, rng: np.random.Generator) -> Tensor:
    """(count, 1, bands, 1) dB: what another room, microphone or mix makes of each band, smoothly."""
    points = torch.from_numpy(rng.normal(0, _ROOM_DB, (count, 1, _ROOM_POINTS)).astype(np.float32))
    curve = functional.interpolate(points, size=bands, mode="linear", align_corners=True)
    return curve[:, :, :, None]


def audio_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross entropy over what is known, each label weighing the same.

    What kind of sound a source is was told of all of it at once; of a window that is less sure than what was done.

    Args:
        logits: (N, labels).
        truth: (N, labels) uint8.
    """
    known = (truth != UNKNOWN).float()
    there = (truth == 1).float()
    there[:, -len(CONTENT) :] = there[:, -len(CONTENT) :] * (1 - 2 * _UNSURE) + _UNSURE
    each = functional.binary_cross_entropy_with_logits(logits.float(), there, reduction="none")
    return ((each * known).sum(dim=0) / known.sum(dim=0).clamp(min=1.0)).mean()


def train_audio(settings: AudioTrainSettings, say: Say) -> Path:
    """Train until the minutes are over, going on from where an earlier start ended.

    Returns: the weights that were written.
    Raises: ValueError if there is nothing to train on.
    """
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    settings.work.mkdir(parents=True, exist_ok=True)
    device = torch.device(settings.device)
    net = AudioNet().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(net.parameters(), lr=settings.rate, weight_decay=5e-2)
    state = settings.work / "state.safetensors"
    spent, step, epoch = load_state(state, net, optimizer) if state.exists() else (0.0, 0, 0)
    mean = AveragedModel(net, avg_fn=_nearer, use_buffers=True)
    whole, turn, data = settings.minutes * 60, -1, None
    losses: list[float] = []
    saved = time.monotonic()
    while spent < whole:
        if data is None or turn != epoch // PASSES:
            turn = epoch // PASSES
            kept = range(max(0, turn - KEPT_TURNS + 1), turn + 1)
            data = Windows([path for one in kept for path in make_sound_shards(settings, False, say, turn=one)])
            if len(data.mel) < BATCH:
                raise ValueError(f"{len(data.mel)} windows are too few to train on: {BATCH} make a batch")
            say(f"turn {turn}: {len(data.mel)} windows")
        before, began = spent, time.monotonic()
        net.train()
        for sound, truth in data.batches(np.random.default_rng([settings.seed, epoch])):
            done = min(spent / whole, 1.0)
            rate = settings.rate * min(1.0, (step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * done)) + 1e-5
            for group in optimizer.param_groups:
                group["lr"] = rate
            with torch.autocast(device.type, torch.bfloat16):
                logits = net(sound.to(device))
            loss = audio_loss(logits, truth.to(device))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            mean.update_parameters(net)
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
                _export(mean.module, settings)
            if spent >= whole:
                break
        epoch += 1
        save_state(state, net, optimizer, (spent, step, epoch))
    _export(mean.module, settings)
    return settings.weights


def _nearer(mean: Tensor, now: Tensor, count: Tensor | int) -> Tensor:
    """The mean of the weights, which follows faster while there were few."""
    if not mean.is_floating_point():
        return now
    return torch.lerp(mean, now, max(1 / AVERAGED_STEPS, 5 / (float(count) + 5)))


def _export(net: torch.nn.Module, settings: AudioTrainSettings) -> None:
    assert isinstance(net, AudioNet)
    folded = copy.deepcopy(net).to("cpu").folded()
    about = {"network": "audio", "version": "2", "labels": ",".join(LABELS), "seed": str(settings.seed)}
    write_weights(settings.weights, folded.state_dict(), about)
