"""All detectors: the built-in ones, and those that other packages bring.

A package brings detectors through an entry point of the group "avjury.detectors" that names a `Detector`, or a tuple
of them. It may use any measure that exists.
"""

import difflib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from engine.detectors import (
    audio,
    audio_channels,
    audio_events,
    audio_noise,
    av,
    damage,
    motion,
    slate,
    stream,
    texture,
    video,
)
from engine.detectors.base import Detector, Parameter, Rule
from engine.errors import ConfigError

__all__ = ["DETECTORS", "ENTRY_POINTS", "Detector", "Parameter", "Rule", "all_detectors", "detector", "resolve"]

ENTRY_POINTS = "avjury.detectors"
DETECTORS: tuple[Detector, ...] = (
    *video.DETECTORS,
    *motion.DETECTORS,
    *texture.DETECTORS,
    *slate.DETECTORS,
    *damage.DETECTORS,
    *audio.DETECTORS,
    *audio_channels.DETECTORS,
    *audio_noise.DETECTORS,
    *audio_events.DETECTORS,
    *stream.DETECTORS,
    *av.DETECTORS,
)


def gather(points: Iterable[EntryPoint]) -> tuple[Detector, ...]:
    """The built-in detectors and those of `points`.

    Raises: ConfigError if a package's detectors cannot be loaded, are none, or take a name that is taken.
    """
    found = {declared.name: declared for declared in DETECTORS}
    for point in points:
        try:
            loaded = point.load()
        except Exception as error:  # another package's code: anything can come out of it
            raise ConfigError(
                f"cannot load the detectors of {point.value!r}",
                why=f"{type(error).__name__}: {error}",
                remedy="repair or uninstall the package that brings them",
            ) from error
        for declared in loaded if isinstance(loaded, (tuple, list)) else (loaded,):
            if not isinstance(declared, Detector) or declared.name in found:
                raise ConfigError(
                    f"cannot use a detector of {point.value!r}",
                    why=f"{declared.name} exists already"
                    if isinstance(declared, Detector)
                    else f"it is a {type(declared).__name__}",
                    remedy="an entry point names a Detector, or a tuple of them, with names of their own",
                )
            found[declared.name] = declared
    return tuple(found.values())


@cache
def all_detectors() -> tuple[Detector, ...]:
    """The built-in detectors and those of installed packages, found once per process.

    Raises: ConfigError as `gather` does.
    """
    return gather(entry_points(group=ENTRY_POINTS))


def detector(name: str) -> Detector:
    """The detector of this name.

    Raises: ConfigError that names the ones with similar names.
    """
    known = {declared.name: declared for declared in all_detectors()}
    if name in known:
        return known[name]
    # "blck" is nearer to "black" than to "video.black"
    short = {full.partition(".")[2]: full for full in known}
    near = difflib.get_close_matches(name, known) or [
        short[match] for match in difflib.get_close_matches(name.rpartition(".")[2], short)
    ]
    raise ConfigError(
        f"no detector is called {name!r}",
        why=f"close names are {', '.join(near)}" if near else f"there are {', '.join(sorted(known))}",
        remedy="`avjury detectors` lists all with their parameters",
    )


def resolve(
    chosen: Mapping[str, Mapping[str, object]] | None,
) -> tuple[tuple[Detector, ...], dict[str, dict[str, float]]]:
    """Detectors by name, with all their parameters.

    Args:
        chosen: parameters that differ from the defaults, by detector; None chooses all that are not optional.
    Returns: the detectors, and their complete parameters by name.
    Raises: ConfigError for an unknown detector or parameter, or a value that is not allowed.
    """
    given = {one.name: {} for one in all_detectors() if not one.optional} if chosen is None else chosen
    detectors = tuple(detector(name) for name in given)
    for declared in detectors:
        declared.rule(given[declared.name])
    return detectors, {declared.name: declared.settle(given[declared.name]) for declared in detectors}
