"""The configuration read with the detectors that are installed: their names, and what their parameters may be."""

import fnmatch
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine import config as configuration
from engine.config import Config, Stream
from engine.detectors import all_detectors, resolve

Known = Mapping[str, Sequence[str]]


def known_detectors() -> Known:
    """Every detector's name with the names of its parameters."""
    return {declared.name: [parameter.name for parameter in declared.parameters] for declared in all_detectors()}


def load_config(path: Path | None, environment: Mapping[str, str] | None = None) -> tuple[Config, Known]:
    """The configuration of a file (None: of the environment alone), and every detector with its parameters.

    Args:
        environment: of the process unless given.
    Raises: ConfigError naming line, key and what is allowed.
    """
    known = known_detectors()
    return configuration.load(path, known, check_parameters, environment), known


def check_parameters(name: str, values: Mapping[str, object]) -> None:
    """The detector's own check.

    Raises: ConfigError.
    """
    resolve({name: values})


def chosen_detectors(config: Config, known: Known, stream: Stream) -> dict[str, dict[str, object]]:
    """The detectors that judge a stream, each with the parameters that differ from its defaults: those of its group.

    Raises: ConfigError where a profile is not there, or values of several tables contradict each other.
    """
    chosen = configuration.select(list(known), config.tables(stream))
    patterns = [
        pattern for group in config.processes.groups if group.name == stream.group for pattern in group.detectors
    ]
    if patterns:
        chosen = {
            name: values
            for name, values in chosen.items()
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
        }
    resolve(chosen)
    return chosen
