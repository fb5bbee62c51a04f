"""How well whole pictures with real bitstream damage are told from clean ones, of clips that were never trained on.

A picture is damaged where damage shows in 1 % of its tiles, as in everything that is planted here; it is clean where
nothing is wrong with any of them, and no longer where somebody may wonder. Clean ones are as coders show them, many of
them with what only looks like damage. The network says of a picture what it says in the mean (of its logits) of the
hundredth part of its tiles that it takes most for damaged, as training has it say of a piece. What it says of the last
of these tiles, by which earlier records judged, stands beside it; and what the network over the maps of the pictures
before says of the same pictures, where every picture of a stream is looked at and where every third one is. Of others,
which were damaged before a transcoder coded them anew, in its own size or another, there are figures of their own.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from models.artifact_history import HistoryNet, surest
from models.artifact_net import LABELS, PIECE, ArtifactNet
from models.evaluate import figures_of
from models.fit_corruption import count_blocks, features
from models.map_series import MapSeries, logits_of, seen_with
from models.synthesis.clean_cases import Leads, clean_cases
from models.synthesis.coded_damage import CODECS, KINDS, VISIBLE_SHARE
from models.synthesis.damaged_cases import damaged_cases
from models.synthesis.held_out import seed_of
from models.synthesis.picture_windows import graphics, windows
from models.synthesis.tile_truth import Case
from models.train_history import led_parts, sure

# Of each window: ways of damage, and pictures of each.
_WAYS: Final = 6
_OF_EACH: Final = 3
# As many clean pictures, or a few more.
_CLEAN: Final = 18
_CORRUPTION: Final = LABELS.index("corruption")
# What is kept of pictures that were coded anew: what the network and the torn blocks say, how much is damaged, and
# whether they kept their size.
_ANEW: Final = ("anew_said", "anew_torn", "anew_share", "anew_same_size")
# Beside all damaged pictures, these: of whose tiles at least so many show damage.
_SHARES: Final = (VISIBLE_SHARE, 0.02, 0.05, 0.1, 0.3)
# Pictures between looks, and what the figures of the pictures before are called.
_HISTORIES: Final = ((1, "with_every_picture_before"), (3, "with_every_third_before"))

Floats = npt.NDArray[np.float64]


def frames_of(source: Path | int, seed: int, count: int, history: bool = False) -> Iterator[Case]:
    """Whole windows of a clip, damaged and clean.

    Args:
        source: a clip, or the number of a made-up one, as in `make_shard`.
        seed: of what is random.
        count: windows.
        history: with what was shown before each; the pictures are the same.
    """
    name = source.name if isinstance(source, Path) else f"graphics {source}"
    rng = np.random.default_rng([seed, 7, *seed_of(name)])
    found = led_parts(source, rng, count)
    combinations = [(c, k) for c in CODECS for k in KINDS if (c, k) != ("hevc", "lost")]
    for number, (lead, window, rate) in enumerate(found):
        for index in rng.permutation(len(combinations))[:_WAYS]:
            way = combinations[int(index)]
            yield from damaged_cases(window, rate, *way, rng, _OF_EACH, lead=lead if history else None)
        lead_of_other, other, _ = found[(number + 1) % len(found)]
        leads = Leads(lead, lead_of_other) if history else None
        yield from clean_cases(window, other, rate, rng, _CLEAN, leads)


def frames_coded_anew(source: Path | int, seed: int, count: int) -> Iterator[tuple[Case, bool]]:
    """Damaged pictures and as many whole ones that a transcoder coded anew, of larger windows.

    Args:
        source, seed, count: as for `frames_of`.
    Returns: each case, and whether the transcoder kept its size.
    """
    name = source.name if isinstance(source, Path) else f"graphics {source}"
    rng = np.random.default_rng([seed, 13, *seed_of(name)])
    if isinstance(source, Path):
        found = list(windows(source, rng, count, larger=2))
    else:
        found = [(graphics(rng), Fraction(25)) for _ in range(count)]
    combinations = [(c, k) for c in CODECS for k in KINDS if (c, k) != ("hevc", "lost")]
    for window, rate in found:
        for index in rng.permutation(len(combinations))[:_WAYS]:
            way = combinations[int(index)]
            for case in damaged_cases(window, rate, *way, rng, 2 * _OF_EACH, whole=_OF_EACH, anew=1.0, least=PIECE):
                yield case, case.now[0].shape == window[0][0].shape


def said_of(net: ArtifactNet, case: Case) -> tuple[float, float, float]:
    """What is said of a picture.

    Returns: by the network of the hundredth part of its tiles that it takes most for damaged, in the mean and of the
        last of them; and by the torn blocks that judge `video.corruption` (a logit).
    """
    both = (case.earlier, case.now)
    told = logits_of(net, *both)
    most = np.sort(told.astype(np.float64), axis=None)[-max(1, round(VISIBLE_SHARE * told.size)) :]
    mean, last = (float(1 / (1 + np.exp(-logit))) for logit in (most.mean(), most[0]))
    torn = features(count_blocks(iter(np.ascontiguousarray(p[0]) for p in both)))[1]
    return mean, last, float(torn.sum())


def said_with_history(net: HistoryNet, series: MapSeries, case: Case) -> list[float]:
    """What is said of a picture by the maps before it, for each of _HISTORIES."""
    maps, found = series.of(case), []
    with torch.inference_mode():
        for step, _ in _HISTORIES:
            logit = float(surest(net(torch.from_numpy(seen_with(maps, step))[None]))[0])
            found.append(1 / (1 + np.exp(-logit)))
    return found


def by_share(scores: Floats, shares: Floats) -> list[dict[str, Any]]:
    """How well clean pictures are told from those of which so much is damaged; those with less are left out.

    Args:
        scores: (n,).
        shares: (n,) of the tiles that are damaged; 0: a clean picture.
    """
    found = []
    for least in _SHARES:
        kept = (shares == 0) | (shares >= least)
        damaged = shares[kept] >= least
        found.append({
            "least_share": least, "damaged": int(damaged.sum()),
            "found": int((scores[kept][damaged] >= 0.5).sum()),
            "average_precision": figures_of(scores[kept], damaged)["average_precision"],
        })  # fmt: skip
    return found


def scored(
    net: ArtifactNet, source: Path | int, seed: int, count: int, history: HistoryNet | None
) -> dict[str, npt.NDArray[Any]]:
    """What is said of the pictures of a clip, one row each.

    Args:
        net, seed, count, history: as for `evaluate_frames`.
        source: a held-out clip.
    """
    rows: dict[str, list[Any]] = {"said": [], "last": [], "torn": [], "share": [], "kind": [], "by_history": []}
    series = MapSeries(net)
    for case in frames_of(source, seed, count, history is not None):
        map_ = case.truth[..., _CORRUPTION]
        if sure(map_) is None:
            continue
        if history is not None:
            rows["by_history"].append(said_with_history(history, series, case))
        for name, told in zip(("said", "last", "torn"), said_of(net, case), strict=True):
            rows[name].append(told)
        rows["share"].append(float((map_ == 1).mean()))
        rows["kind"].append(case.kind)
    anew: dict[str, list[Any]] = {name: [] for name in _ANEW}
    for case, same_size in frames_coded_anew(source, seed, count):
        map_ = case.truth[..., _CORRUPTION]
        if sure(map_) is not None:
            said, _, torn = said_of(net, case)
            row = said, torn, float((map_ == 1).mean()), same_size
            for name, value in zip(_ANEW, row, strict=True):
                anew[name].append(value)
    found = {name: np.array(of, "U16" if name == "kind" else np.float64) for name, of in rows.items()}
    return found | {name: np.array(of, np.float64) for name, of in anew.items()}


def scored_once(path: Path, make: Callable[[], dict[str, npt.NDArray[Any]]]) -> dict[str, npt.NDArray[Any]]:
    """What `make` makes, or what it made before, which is kept in a file: it takes a minute of CPU for each clip."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part.npz")
        np.savez(unfinished, allow_pickle=False, **make())
        unfinished.replace(path)
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def evaluate_frames(
    net: ArtifactNet, sources: list[Path | int], seed: int, count: int, history: HistoryNet | None = None,
    keep: Path | None = None,
) -> Mapping[str, Any]:  # fmt: skip
    """All figures; `figures_of` of the network and of torn blocks, and of the network for each kind of picture.

    Args:
        net: for use.
        sources: held-out clips.
        seed: of what is random.
        count: windows of each.
        history: what judges by the maps of the pictures before; None: nothing is said of them.
        keep: where what is said of each clip is kept, and found again: a folder of these weights, seed and count.
    """
    parts = []
    for source in sources:
        make = partial(scored, net, source, seed, count, history)
        name = source.name if isinstance(source, Path) else f"graphics-{source}"
        parts.append(make() if keep is None else scored_once(keep / f"{name}.npz", make))
    scores, last, torn, share_of, kinds = (
        np.concatenate([part[name] for part in parts]) for name in ("said", "last", "torn", "share", "kind")
    )
    of_real = [np.full(len(part["said"]), isinstance(s, Path)) for s, part in zip(sources, parts, strict=True)]
    is_real = np.concatenate(of_real)
    by_history = [row for part in parts for row in part["by_history"]]
    is_damaged = share_of >= VISIBLE_SHARE
    by_kind = {}
    for kind in sorted(set(kinds.tolist())):
        of = kinds == kind
        by_kind[kind] = {
            "damaged": int(is_damaged[of].sum()), "found": int((scores[of & is_damaged] >= 0.5).sum()),
            "clean": int((~is_damaged[of]).sum()), "false": int((scores[of & ~is_damaged] >= 0.5).sum()),
        }  # fmt: skip
    return {
        "pictures": len(scores),
        "network": figures_of(scores, is_damaged),
        "network_of_real_clips": figures_of(scores[is_real], is_damaged[is_real]),
        **{
            f"{name}{part}": {"average_precision": figures_of(of[those], is_damaged[those])["average_precision"]}
            for name, of in (("last_tile", last), ("torn_blocks", torn))
            for part, those in (("", np.ones(len(scores), bool)), ("_of_real_clips", is_real))
        },
        **(
            {
                f"{name}{part}": figures_of(np.array(by_history)[those, index], is_damaged[those])
                for index, (_, name) in enumerate(_HISTORIES)
                for part, those in (("", np.ones(len(scores), bool)), ("_of_real_clips", is_real))
            }
            if by_history
            else {}
        ),
        "by_kind": by_kind,
        "coded_anew": _coded_anew(parts),
        "of_real_clips_by_share": by_share(scores[is_real], share_of[is_real]),
    }


def _coded_anew(parts: Sequence[Mapping[str, npt.NDArray[Any]]]) -> dict[str, Any]:
    """Figures of pictures that a transcoder coded anew, all together, and of those that kept their size or did not."""
    said, torn, share, same = (np.concatenate([part[name] for part in parts]) for name in _ANEW)
    damaged, found = share >= VISIBLE_SHARE, {}
    for name, those in (("all", same >= 0), ("same_size", same == 1), ("another_size", same == 0)):
        found[name] = {
            "pictures": int(those.sum()), "damaged": int(damaged[those].sum()),
            "network": figures_of(said[those], damaged[those]),
            "torn_blocks": {"average_precision": figures_of(torn[those], damaged[those])["average_precision"]},
        }  # fmt: skip
    return found
