"""`avjury train artifact`: makes the training data where it is not there yet, and trains for a given time.

Everything is kept in one folder: the pieces of each clip, the state of the training after every few minutes (from which
it goes on when it is started again), and its curves. Nothing in it is a pickle.
"""

import copy
import hashlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.artifact_net import LABELS, PIECE, ArtifactNet, network_input
from models.synthesis.held_out import is_held_out
from models.synthesis.moving_stills import STILL_SUFFIXES
from models.synthesis.patches import WIDE, make_shard
from models.synthesis.picture_windows import ClipError
from models.synthesis.tile_truth import UNKNOWN
from models.training_state import load_state, save_state, write_curve
from models.warm_start import unfold
from models.weight_files import read_weights, write_weights

MEDIA_SUFFIXES: Final = frozenset(
    (".mp4", ".mov", ".mkv", ".webm", ".ts", ".m2ts", ".mpg", ".mpeg", ".avi", ".mxf", ".flv", ".ogv", ".264", ".h264",
     ".265")
)  # fmt: skip
# Made-up clips; of the first so many every third is held out, as of the others.
TRIED_GRAPHICS: Final = 9
GRAPHICS: Final = 60
# Of pieces of WIDE samples; half of the batches as four times as many of PIECE.
BATCH: Final = 16
SAVE_SECONDS: Final = 60.0
# Of the sources of a turn together: some 6 GB of pieces. A folder that has more gives others at each turn, by chance.
TURN_WINDOWS: Final = 480
# So many times each piece is seen before others take its place.
PASSES: Final = 4
# Of the weights that are written: the mean over about so many steps.
AVERAGED_STEPS: Final = 500
# Of the highest rate of learning, where weights that are there are trained further.
FURTHER_RATE: Final = 0.3
# A false alarm costs more than a missed tile: a stream is clean for most of its life.
CLEAN_WEIGHT: Final = 2.0
# What is said of a piece as a whole is what is said of one in so many of its tiles, those it is surest of.
SUREST: Final = 72
# Of the loss, beside that of tiles: the piece as a whole.
WHOLE_WEIGHT: Final = 0.5


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How to train.

    Args:
        media: folder of clean clips.
        work: folder of what is made on the way.
        weights: file to write.
        minutes: how long to train in all, over all starts; what it takes to make the pieces is not counted.
        seed: of what is random.
        threads: of torch.
        skip: clips whose name begins so are left out, as damaged ones.
        windows: parts of each clip.
        device: where to train.
        rate: highest rate of learning.
        start: weights to start from; None: none. Where a training goes on, they do not count.
    """

    media: Path
    work: Path
    weights: Path
    minutes: float = 60.0
    seed: int = 1
    threads: int = 1
    skip: tuple[str, ...] = ()
    start: Path | None = None
    windows: int = 4
    device: str = "cpu"
    rate: float = 3e-3


Bytes = npt.NDArray[np.uint8]
Say = Callable[[str], None]


def clips_of(media: Path, skip: tuple[str, ...] = ()) -> list[Path]:
    """The clips of a folder and of those in it, in the order of their names."""
    return _files_of(media, skip, MEDIA_SUFFIXES)


def _files_of(media: Path, skip: tuple[str, ...], suffixes: frozenset[str]) -> list[Path]:
    found = (path for path in sorted(media.rglob("*")) if path.suffix.lower() in suffixes)
    return [path for path in found if not path.name.startswith(skip or ("\0",))]


def sources(media: Path, skip: tuple[str, ...], held_out: bool) -> list[Path | int]:
    """The clips and made-up clips that are trained on, or those that are held out.

    Photographs are only trained on: what is tried is how films are judged.
    """
    real: list[Path | int] = [path for path in clips_of(media, skip) if is_held_out(path.name) == held_out]
    stills = [] if held_out else _files_of(media, skip, STILL_SUFFIXES)
    tried = range(2, min(GRAPHICS, TRIED_GRAPHICS), 3)
    return [*real, *stills, *(tried if held_out else (number for number in range(GRAPHICS) if number not in tried))]


def shard_path(work: Path, source: Path | int, held_out: bool, turn: int = 0) -> Path:
    """Where the pieces of a clip are kept."""
    folder = "pieces" if held_out else f"wide-{turn}"
    return work / folder / f"{kept_as(source)}.npz"


def kept_as(source: Path | int) -> str:
    """What a source's files are called: folders may hold photographs of the same name."""
    if not isinstance(source, Path):
        return f"graphics-{source}"
    return f"{source.name}-{hashlib.sha256(str(source).encode()).hexdigest()[:8]}"


def sources_of_turn(settings: TrainSettings, turn: int) -> list[Path | int]:
    """What a turn of the training takes of all that is trained on, in the order of `sources`."""
    every = sources(settings.media, settings.skip, held_out=False)
    most = max(1, TURN_WINDOWS // settings.windows)
    if len(every) <= most:
        return every
    taken = np.random.default_rng([settings.seed, turn, len(every)]).choice(len(every), most, replace=False)
    return [every[int(place)] for place in np.sort(taken)]


def make_shards(settings: TrainSettings, held_out: bool, say: Say, turn: int = 0) -> list[Path]:
    """The pieces of every held-out clip, or of those of a turn, made where they are not there yet.

    Args:
        settings: which clips, and how many parts of each.
        held_out: those that are not trained on, all of them.
        say: gets a line for each clip.
        turn: each turn has other parts of the clips, spoilt in other ways.
    """
    paths = []
    every = sources(settings.media, settings.skip, True) if held_out else sources_of_turn(settings, turn)
    for source in every:
        path = shard_path(settings.work, source, held_out, turn)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                shard = make_shard(source, settings.seed + 1000 * turn, settings.windows, PIECE if held_out else WIDE)
            except ClipError as error:
                say(f"left out: {error}")
                continue
            unfinished = path.with_suffix(".part.npz")
            np.savez(unfinished, allow_pickle=False, **dict(shard))
            unfinished.replace(path)
            say(f"{path.stem}: {len(shard['luma'])} pieces")
        paths.append(path)
    return paths


class Pieces:
    """The pieces of many clips in memory.

    Args:
        paths: of the shards.
    """

    def __init__(self, paths: list[Path]) -> None:
        shards: list[dict[str, npt.NDArray[Any]]] = []
        for path in paths:
            with np.load(path) as file:
                shards.append({name: file[name] for name in ("luma", "chroma", "truth", "kind")})
        self.luma, self.chroma, self.truth, self.kind = (
            np.concatenate([shard[name] for shard in shards]) for name in ("luma", "chroma", "truth", "kind")
        )

    def batches(self, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """All pieces once, in another order, flipped, and with other contrast and colours at random."""
        order = rng.permutation(len(self.luma))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            index = order[start : start + BATCH]
            luma, chroma, truth = self.luma[index], self.chroma[index], self.truth[index]
            if rng.random() < 0.5:
                luma, chroma, truth = luma[..., ::-1], chroma[..., ::-1], truth[:, :, ::-1]
            if rng.random() < 0.5:
                luma, chroma, truth = luma[..., ::-1, :], chroma[..., ::-1, :], truth[:, ::-1]
            if rng.random() < 0.5:
                luma, chroma, truth = recoloured(luma, chroma, truth, rng)
            if rng.random() < 0.5:
                luma, chroma, truth = quartered(luma, 2), quartered(chroma, 3), quartered(truth, 1)
            yield tuple(torch.from_numpy(np.ascontiguousarray(part)) for part in (luma, chroma, truth))  # type: ignore[misc]


def quartered(parts: Bytes, axis: int) -> Bytes:
    """Four pieces of each: the halves of this axis and of the one after it, along the first axis."""
    for along in (axis, axis + 1):
        parts = np.concatenate(np.split(parts, 2, along))
    return parts


def recoloured(
    luma: Bytes, chroma: Bytes, truth: Bytes, rng: np.random.Generator
) -> tuple[Bytes, Bytes, Bytes]:  # fmt: skip
    """The pieces with other contrast, brightness and colours: what few clips show must not be learnt by heart."""
    count = len(luma)
    gain, lift = rng.uniform(0.7, 1.25, (count, 1, 1, 1)), rng.uniform(-25, 25, (count, 1, 1, 1))
    luma = np.clip((luma - np.float32(128)) * gain.astype(np.float32) + (128 + lift).astype(np.float32), 0, 255)
    turned = rng.uniform(0.6, 1.4, (count, 1, 2, 1, 1)) * rng.choice([1, -1], (count, 1, 2, 1, 1), p=[0.7, 0.3])
    chroma = np.clip((chroma - np.float32(128)) * turned.astype(np.float32) + np.float32(128), 0, 255)
    truth = truth.copy()
    truth[..., LABELS.index("colour")] = UNKNOWN  # of colours that nothing has
    return np.rint(luma).astype(np.uint8), np.rint(chroma).astype(np.uint8), truth


def loss_of(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross entropy over the tiles of which the truth is known, each label weighing the same.

    Args:
        logits: (N, labels, TILES, TILES).
        truth: (N, TILES, TILES, labels) uint8.
    """
    wanted = truth.permute(0, 3, 1, 2)
    known = (wanted != UNKNOWN).float()
    target = (wanted == 1).float()
    each = functional.binary_cross_entropy_with_logits(logits.float(), target, reduction="none")
    weight = known * torch.where(target > 0, 1.0, CLEAN_WEIGHT)
    per_label = (each * weight).sum(dim=(0, 2, 3)) / weight.sum(dim=(0, 2, 3)).clamp(min=1.0)
    # Corruption is what the network is for.
    emphasis = torch.ones(len(LABELS), device=logits.device)
    emphasis[0] = 4.0
    return (per_label * emphasis).sum() / emphasis.sum() + WHOLE_WEIGHT * whole_loss(logits[:, 0], wanted[:, 0])


def whole_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross entropy over pieces as a whole: damaged or clean, where that is known; pictures are what is judged.

    Args:
        logits: (N, rows, columns) of corruption.
        truth: (N, rows, columns) uint8.
    """
    count = max(1, truth[0].numel() // SUREST)
    said = logits.float().flatten(1).topk(count, dim=1).values.mean(dim=1)
    damaged = (truth == 1).flatten(1).sum(dim=1) >= count
    known = damaged | (truth == 0).flatten(1).all(dim=1)
    each = functional.binary_cross_entropy_with_logits(said, damaged.float(), reduction="none")
    weight = known * torch.where(damaged, 1.0, CLEAN_WEIGHT)
    return (each * weight).sum() / weight.sum().clamp(min=1.0)


def train(settings: TrainSettings, say: Say) -> Path:
    """Train until the minutes are over, going on from where an earlier start ended.

    Returns: the weights that were written.
    Raises: WeightsError if those to start from are not what they should be.
    """
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    settings.work.mkdir(parents=True, exist_ok=True)
    device = torch.device(settings.device)
    fresh = None if settings.start is None else read_weights(settings.start, "artifact")[0]
    # Where the processor has no arithmetic of 16 bits it is emulated, which takes ten times as long as that of 32.
    halves = device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    net = ArtifactNet().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(net.parameters(), lr=settings.rate, weight_decay=1e-3)
    state = settings.work / "state.safetensors"
    spent, step, epoch = load_state(state, net, optimizer) if state.exists() else (0.0, 0, 0)
    highest = settings.rate * (1.0 if fresh is None else FURTHER_RATE)
    average = get_ema_multi_avg_fn(1 - 1 / AVERAGED_STEPS)  # type: ignore[no-untyped-call]
    mean = AveragedModel(net, multi_avg_fn=average, use_buffers=True)
    whole, turn, data = settings.minutes * 60, -1, None
    curve: list[float] = []
    while spent < whole:
        if data is None or turn != epoch // PASSES:
            turn, data = epoch // PASSES, None  # the old ones go before the new ones come
            paths = make_shards(settings, held_out=False, say=say, turn=turn)
            data = Pieces(paths)
            say(f"turn {turn}: {len(data.luma)} pieces of {len(paths)} clips")
            _forget(settings, turn - 1)
            if fresh is not None and not state.exists():
                luma, chroma, _ = next(data.batches(np.random.default_rng(settings.seed)))
                unfold(net, fresh, network_input(luma.to(device), chroma.to(device)))
                mean.module.load_state_dict(net.state_dict())
        before, began, saved = spent, time.monotonic(), time.monotonic()
        rng = np.random.default_rng([settings.seed, epoch])
        for luma, chroma, truth in data.batches(rng):
            done = min(spent / whole, 1.0)
            rate = highest * min(1.0, (step + 1) / 200) * (0.5 + 0.5 * math.cos(math.pi * done)) + 1e-5
            for group in optimizer.param_groups:
                group["lr"] = rate
            inputs = network_input(luma.to(device), chroma.to(device)).contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16, enabled=halves):
                logits = net(inputs)
            loss = loss_of(logits, truth.to(device))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            mean.update_parameters(net)
            step += 1
            curve.append(float(loss.detach()))
            spent = before + time.monotonic() - began
            if time.monotonic() - saved >= SAVE_SECONDS or spent >= whole:
                saved = time.monotonic()
                _keep(settings, net, mean, optimizer, (spent, step, epoch), curve, rate, say)
            if spent >= whole:
                break
        epoch += 1
        save_state(state, net, optimizer, (spent, step, epoch))
    _export(mean.module, settings)
    return settings.weights


def _keep(
    settings: TrainSettings, net: ArtifactNet, mean: AveragedModel, optimizer: torch.optim.Optimizer,
    place: tuple[float, int, int], curve: list[float], rate: float, say: Say,
) -> None:  # fmt: skip
    """Write the state, the weights so far, and a line of the curve."""
    spent, step, epoch = place
    row = {"seconds": round(spent, 1), "step": step, "epoch": epoch, "loss": float(np.mean(curve)), "rate": rate}
    write_curve(settings.work / "curve.jsonl", row)
    say(f"{spent / 60:.1f} min, step {step}, epoch {epoch}: loss {row['loss']:.4f}")
    curve.clear()
    save_state(settings.work / "state.safetensors", net, optimizer, place)
    _export(mean.module, settings)


def _forget(settings: TrainSettings, turn: int) -> None:
    """Delete the pieces of a turn that was trained on; of the one before the first there are none."""
    if turn < 0:
        return
    for source in sources_of_turn(settings, turn):
        shard_path(settings.work, source, False, turn).unlink(missing_ok=True)


def _export(net: torch.nn.Module, settings: TrainSettings) -> None:
    assert isinstance(net, ArtifactNet)
    folded = copy.deepcopy(net).to("cpu").folded()
    about = {"network": "artifact", "version": "5", "labels": ",".join(LABELS), "seed": str(settings.seed)}
    write_weights(settings.weights, folded.state_dict(), about)
