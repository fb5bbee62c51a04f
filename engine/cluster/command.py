"""`avjury cluster`: what its commands do."""

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from engine.cluster.fleet import ClusterFleet
from engine.cluster.setup import Written, evidence_of, written
from engine.config import Config
from engine.errors import ConfigError
from engine.service.contract import Fleet
from engine.service.makers import DEFAULT_MAKERS, Makers
from engine.service.sinks import SecondsReader, VerdictSink
from engine.service.supervisor import serve as serve_with
from engine.store.database import Database
from engine.store.objects import open_objects
from engine.store.owners import LATE_SECONDS, Owners
from engine.store.questions import Answer
from engine.store.verdict_reader import VerdictReader
from engine.verdicts import StreamSecond

_DRAIN_ROUND_SECONDS: Final = 1.0

log = logging.getLogger(__name__)


class KeptElsewhere:
    """The store of stream-seconds of a service whose engines keep them themselves."""

    def start(self) -> None:
        """Nothing to start."""

    def put(self, second: StreamSecond, session: str, at: float) -> bool:
        """It is kept already."""
        return True

    def problem(self) -> str | None:
        """The engines' own."""
        return None

    def snapshot(self) -> Mapping[str, int]:
        """Nothing is counted here."""
        return {}

    def stop(self, drain_seconds: float) -> bool:
        """Nothing is left."""
        return True


def serve(path: Path, data: Path | None, listen: str | None) -> None:
    """Put API, page, metrics and notifications in front of the cluster, and see that its actors run.

    Raises: ConfigError, also where there is no Ray cluster; StoreError.
    """
    configuration, config = _configuration(path)
    actors = _actors(config)
    actors.present_coordinator(configuration)

    def fleet(_config: Config, _data: Path) -> Fleet:
        owners = Owners(Database(str(config.storage.database)))
        return ClusterFleet(owners, actors.RayLink(owners))

    serve_with(path, data=data, listen=listen, makers=makers(fleet))


def makers(fleet: Callable[[Config, Path], Fleet]) -> Makers:
    """The parts of a service in front of a cluster."""

    def verdicts(config: Config, data: Path) -> tuple[VerdictSink, SecondsReader]:
        place = str(config.storage.verdicts)
        return KeptElsewhere(), VerdictReader(open_objects(place, config.storage.options), data / "no-spool")

    return Makers(fleet=fleet, notifier=DEFAULT_MAKERS.notifier, verdicts=verdicts, evidence=evidence_of)


def status(path: Path) -> Answer:
    """The engines, for the table of `avjury cluster status`. Raises: ConfigError; StoreError."""
    _, config = _configuration(path)
    overview = Owners(Database(str(config.storage.database))).overview()
    rows = []
    for engine in overview.engines:
        owned = [unit for unit in overview.units if overview.owner(unit) is engine]
        state = "lost" if not engine.alive else "emptied" if engine.emptied else "up"
        if state == "up" and not engine.state.get("ready"):
            state = "starting"
        labels = ", ".join(f"{name}={value}" for name, value in engine.labels.items())
        capacity = round(float(engine.state.get("capacity", 0.0)), 1)
        device, binds = engine.state.get("device", ""), engine.state.get("binds", "")
        of = engine.state.get("release", "")
        rows.append(
            (engine.name, state, engine.node[:12], device, len(owned), capacity, binds, labels, engine.incarnation, of)
        )
    columns = ("engine", "state", "node", "device", "streams", "capacity", "binds", "labels", "life", "release")
    return Answer(columns, tuple(rows))


def drain(path: Path, names: list[str], node: str | None, *, wait: bool) -> None:
    """Have the streams of engines judged by others, and wait until they are.

    Raises: ConfigError for an engine that is not there; StoreError.
    """
    _, config = _configuration(path)
    owners = Owners(Database(str(config.storage.database)))
    chosen = _chosen(owners, names, node)
    for name in chosen:
        owners.empty(name, True)
    while wait:
        overview = owners.overview()
        left = [
            unit
            for unit in overview.units
            if unit.owner in chosen
            # What it judged last is still on its way: who ends it now would lose two seconds.
            or (unit.before in chosen and overview.now < unit.owned_from + LATE_SECONDS)
        ]
        if not left:
            _say(f"emptied: {', '.join(chosen)}")
            return
        _say(f"{len(left)} streams are still judged by {', '.join(chosen)}")
        time.sleep(_DRAIN_ROUND_SECONDS)


def undrain(path: Path, names: list[str], node: str | None) -> None:
    """Let engines have streams again. Raises: ConfigError; StoreError."""
    _, config = _configuration(path)
    owners = Owners(Database(str(config.storage.database)))
    for name in _chosen(owners, names, node):
        owners.empty(name, False)


def down(path: Path, drain_seconds: float) -> None:
    """End coordinator and engines, in order. Raises: ConfigError; StoreError."""
    import ray

    _, config = _configuration(path)
    actors = _actors(config)
    coordinator = actors.actor(actors.COORDINATOR)
    if coordinator is not None:
        _quietly(coordinator.stop.remote(), 5.0)
        ray.kill(coordinator)
    owners = Owners(Database(str(config.storage.database)))
    handles = {engine.name: actors.actor(engine.name) for engine in owners.engines()}
    stops = [handle.stop.remote(drain_seconds) for handle in handles.values() if handle is not None]
    if stops:
        ray.wait(stops, num_returns=len(stops), timeout=drain_seconds + 5.0)
    for name, handle in handles.items():
        if handle is not None:
            ray.kill(handle)
        owners.forget(name)
    _say(f"ended: {', '.join(handles) or 'no engine'}")


def _quietly(reference: Any, seconds: float) -> None:
    import ray

    ray.wait([reference], timeout=seconds)


def _chosen(owners: Owners, names: list[str], node: str | None) -> list[str]:
    engines = owners.engines()
    known = {engine.name for engine in engines}
    chosen = [*names, *(engine.name for engine in engines if node is not None and engine.node.startswith(node))]
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen:
        raise ConfigError(
            "no such engine",
            stream=", ".join(unknown) or node or "",
            why=f"the engines are {', '.join(sorted(known)) or 'none'}",
            remedy="avjury cluster status shows them",
        )
    return chosen


def _configuration(path: Path) -> tuple[Written, Config]:
    configuration = written(path, os.environ)
    return configuration, configuration.load()


def _actors(config: Config) -> Any:
    """The module of the actors, connected. Raises: ConfigError."""
    try:
        from engine.cluster import actors
    except ModuleNotFoundError as error:
        raise ConfigError(
            "Ray is not installed", why=f"{error.name} is missing", remedy='pip install "avjury[cluster]"'
        ) from error
    try:
        actors.connect(config)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(
            "no Ray cluster",
            stream=config.cluster.address,
            why=str(error).splitlines()[0],
            remedy="start one (ray start --head), or name its address in cluster.address",
        ) from error
    return actors


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
