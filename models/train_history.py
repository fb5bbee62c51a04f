"""`avjury train history`: the network over the maps of the pictures before, from clips spoilt in many ways.

The maps of each clip are made once and kept in the folder of work; what is trained on them takes minutes, and comes out
the same for the same seed. Windows begin with pictures that are never damaged: so each comes with what the clip shows
before it, else what has a short past would be learnt to be clean (decision 0134).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from models.artifact_history import MEMBERS, HistoryNet, Member, surest
from models.artifact_net import LABELS
from models.artifact_weights import SHIPPED_WEIGHTS, load_artifact
from models.map_series import MapSeries, seen_with
from models.synthesis.clean_cases import Leads, clean_cases
from models.synthesis.coded_damage import CODECS, KINDS, VISIBLE_SHARE
from models.synthesis.damaged_cases import damaged_cases
from models.synthesis.held_out import seed_of
from models.synthesis.picture import Picture
from models.synthesis.picture_windows import ClipError, graphics, led_windows
from models.synthesis.tile_truth import UNKNOWN, Case
from models.train import Say, TrainSettings, kept_as, sources
from models.weight_files import digest_of, write_weights

EPOCHS: Final = 8
BATCH: Final = 24
RATE: Final = 3e-3
# Of the loss: tiles beside pictures.
TILE_WEIGHT: Final = 4.0
# Pictures between looks: one network for all.
STEPS: Final = (1, 2, 3)
# Of each window: ways of damage, pictures of each and how many of them are whole, and clean pictures.
_WAYS: Final = 6
_OF_EACH, _WHOLE = 7, 3
_CLEAN: Final = 18
_CORRUPTION: Final = LABELS.index("corruption")
_VERSION: Final = "4"

Floats = npt.NDArray[np.float32]
Seen = Mapping[int, Sequence[Floats]]


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A picture with the maps before.

    Args:
        maps: (n, rows, columns) float32, as `MapSeries.of` gives them.
        truth: (rows, columns) uint8: 0, 1 or UNKNOWN.
        damaged: whether damage shows in the picture.
        kind: how it was made.
        clip: of which it is.
    """

    maps: Floats
    truth: npt.NDArray[np.uint8]
    damaged: bool
    kind: str
    clip: str


def sure(truth: npt.NDArray[np.uint8]) -> bool | None:
    """Whether a picture is damaged; None where nobody can tell.

    Args:
        truth: (rows, columns) of corruption.
    """
    if float((truth == 1).mean()) >= VISIBLE_SHARE:
        return True
    return None if ((truth == 1) | (truth == UNKNOWN)).any() else False


def led_parts(
    source: Path | int, rng: np.random.Generator, count: int
) -> list[tuple[Sequence[Picture], list[Picture], Fraction]]:
    """Windows of a clip, or made-up ones that have nothing before them: what was before, the window, its rate."""
    if isinstance(source, Path):
        return list(led_windows(source, rng, count))
    return [((), graphics(rng), Fraction(25)) for _ in range(count)]


def cases_of(source: Path | int, seed: int, count: int) -> Iterator[Case]:
    """Damaged and clean pictures of a clip, with what was shown before them."""
    name = source.name if isinstance(source, Path) else f"graphics {source}"
    rng = np.random.default_rng([seed, 11, *seed_of(name)])
    found = led_parts(source, rng, count)
    combinations = [(c, k) for c in CODECS for k in KINDS if (c, k) != ("hevc", "lost")]
    for number, (lead, window, rate) in enumerate(found):
        for index in rng.permutation(len(combinations))[:_WAYS]:
            yield from damaged_cases(window, rate, *combinations[int(index)], rng, _OF_EACH, _WHOLE, lead)
        lead_of_other, other, _ = found[(number + 1) % len(found)]
        yield from clean_cases(window, other, rate, rng, _CLEAN, Leads(lead, lead_of_other))


def make_series(settings: TrainSettings, held_out: bool, say: Say) -> list[Path]:
    """The maps of every clip, made where they are not there yet.

    Args:
        settings: which clips, how many parts of each, and the weights of the artifact network whose maps they are.
        held_out: those that are not trained on.
        say: gets a line for each clip.
    """
    path = settings.start or SHIPPED_WEIGHTS
    net, paths = load_artifact(path).net, []
    for source in sources(settings.media, settings.skip, held_out):
        name = source.name if isinstance(source, Path) else f"graphics-{source}"
        target = settings.work / f"series-{digest_of(path)[:8]}" / f"{kept_as(source)}.npz"
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            series = MapSeries(net)
            held: dict[str, npt.NDArray[Any]] = {}
            damaged: list[bool] = []
            kinds: list[str] = []
            try:
                cases = list(cases_of(source, settings.seed, settings.windows))
            except ClipError as error:
                say(f"left out: {error}")
                continue
            for case in cases:
                truth = case.truth[..., _CORRUPTION]
                told = sure(truth)
                if told is None:
                    continue
                held[f"maps{len(damaged)}"] = series.of(case).astype(np.float16)
                held[f"truth{len(damaged)}"] = truth
                damaged.append(told)
                kinds.append(case.kind)
            unfinished = target.with_suffix(".part.npz")
            rest: dict[str, Any] = {"damaged": np.array(damaged, bool), "kind": np.array(kinds, "U16")}
            np.savez_compressed(unfinished, allow_pickle=False, **held, **rest)
            unfinished.replace(target)
            say(f"{name}: {len(damaged)} pictures, {sum(damaged)} of them damaged")
        paths.append(target)
    return paths


def read_series(paths: Sequence[Path]) -> list[Example]:
    """What `make_series` wrote."""
    found = []
    for path in paths:
        with np.load(path) as file:
            found += [
                Example(file[f"maps{n}"].astype(np.float32), file[f"truth{n}"], bool(told), str(kind), path.stem)
                for n, (told, kind) in enumerate(zip(file["damaged"], file["kind"], strict=True))
            ]
    return found


def seen_at(examples: Sequence[Example]) -> Seen:
    """What every example is seen with, by the pictures between looks."""
    return {step: [seen_with(example.maps, step) for example in examples] for step in STEPS}


def train_member(examples: Sequence[Example], seen: Seen, seed: int) -> Member:
    """One network, the same for the same seed.

    Args:
        examples: to train on.
        seen: as `seen_at` gives it.
        seed: of what is random.
    """
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        net = Member()
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=1e-2)
    shapes: dict[tuple[int, ...], list[int]] = {}
    for index, example in enumerate(examples):
        shapes.setdefault(example.truth.shape, []).append(index)
    total, done = EPOCHS * sum(-(-len(of) // BATCH) for of in shapes.values()), 0
    for _ in range(EPOCHS):
        batches = [part for of in shapes.values() for part in _split(rng.permutation(of))]
        for place in rng.permutation(len(batches)):
            chosen = [int(i) for i in batches[int(place)]]
            steps = rng.choice(STEPS, len(chosen))
            x = torch.from_numpy(np.stack([seen[int(step)][i] for i, step in zip(chosen, steps, strict=True)]))
            truth = torch.from_numpy(np.stack([examples[i].truth for i in chosen]))
            damaged = torch.tensor([float(examples[i].damaged) for i in chosen])
            for axis in (-1, -2):
                if rng.random() < 0.5:
                    x, truth = x.flip(axis), truth.flip(axis)
            # What a map says of one clip it says of all of it: a little more or less.
            x = x + torch.from_numpy(rng.normal(0, 0.05, (*x.shape[:2], 1, 1)).astype(np.float32))
            for group in optimizer.param_groups:
                group["lr"] = RATE * min(1, (done + 1) / 20) * (0.5 + 0.5 * math.cos(math.pi * done / total)) + 1e-5
            logits, known = net(x), (truth != UNKNOWN).float()
            tiles = functional.binary_cross_entropy_with_logits(logits, (truth == 1).float(), reduction="none") * known
            whole = functional.binary_cross_entropy_with_logits(surest(logits), damaged)
            loss = TILE_WEIGHT * tiles.sum() / known.sum() + whole
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            done += 1
    return net.eval()


def _split(order: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    return [order[start : start + BATCH] for start in range(0, len(order), BATCH)]


def train_history(settings: TrainSettings, say: Say) -> Path:
    """Make the maps, train, and write the weights.

    Args:
        settings: `start` are the weights of the artifact network whose maps it reads, the shipped ones unless told;
            `minutes`, `device` and `rate` do not count.
        say: gets a line now and then.
    Returns: the weights that were written.
    Raises: WeightsError if those of the artifact network are not what they should be.
    """
    torch.set_num_threads(settings.threads)
    examples = read_series(make_series(settings, False, say))
    say(f"{len(examples)} pictures of {len({example.clip for example in examples})} clips")
    members, seen = [], seen_at(examples)
    for number in range(MEMBERS):
        members.append(train_member(examples, seen, settings.seed * MEMBERS + number))
        say(f"network {number + 1} of {MEMBERS} is trained")
    about = {"network": "artifact_history", "version": _VERSION, "seed": str(settings.seed),
             "artifact": digest_of(settings.start or SHIPPED_WEIGHTS)}  # fmt: skip
    write_weights(settings.weights, HistoryNet(members).state_dict(), about)
    return settings.weights
