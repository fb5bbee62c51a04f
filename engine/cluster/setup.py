"""What the parts of a cluster are made from: a configuration that fits one, and the stores that all share."""

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from engine.cluster.evidence import SharedEvidence
from engine.cluster.member import Member, MemberParts
from engine.config import Config
from engine.configured import load_config
from engine.errors import ConfigError
from engine.notify.notifier import Notifier as OutboxNotifier
from engine.service.fleet import LocalFleet
from engine.service.fleet_settings import settings_of
from engine.service.places import Group
from engine.service.sinks import Notifier
from engine.store.objects import open_objects
from engine.store.parquet import VerdictSettings, VerdictStore
from engine.store.sql import Store, nobody

# Beside the place of stream-seconds, whose folders are dates.
_EVIDENCE: Final = "-evidence"


@dataclass(frozen=True, slots=True)
class Written:
    """A configuration as it was written: every process of the cluster reads it with its own release.

    Args:
        text: of the file.
        environment: the variables that override it.
    """

    text: str = field(repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def load(self) -> Config:
        """The configuration. Raises: ConfigError, also where it does not fit a cluster."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "configuration.yaml"
            file.write_text(self.text)
            config, _ = load_config(file, self.environment)
        check(config)
        return config


def check(config: Config) -> None:
    """Refuse a configuration whose engines would keep what they find for themselves.

    Raises: ConfigError.
    """
    storage = config.storage
    if storage.database is None:
        raise ConfigError(
            "wrong configuration",
            why="storage.database: a cluster's engines share one database",
            remedy="write postgresql://user:password@host/name",
        )
    if storage.verdicts is None:
        raise ConfigError(
            "wrong configuration",
            why="storage.verdicts: a cluster's engines share one store of verdicts",
            remedy="write s3://bucket/prefix (or gs://, az://, or a folder that all machines share)",
        )


def evidence_of(config: Config, data: Path) -> SharedEvidence:
    """Where evidence is kept: beside the stream-seconds."""
    place = f"{str(config.storage.verdicts).rstrip('/')}{_EVIDENCE}"
    return SharedEvidence(open_objects(place, config.storage.options), data / "evidence-cache")


def store_of(config: Config, notifier: Notifier | None) -> Store:
    """The database that all share; whoever opens an incident writes who is to be told of it."""
    return Store(
        str(config.storage.database),
        route=nobody if notifier is None else notifier.route,
        damping_seconds=config.service.damping_seconds,
    )


def make_member(
    name: str,
    node: str,
    labels: Mapping[str, str],
    config: Config,
    data: Path,
    begun: Callable[[int], None] = lambda incarnation: None,
) -> Member:
    """An engine of the cluster.

    Args:
        name: unique in the cluster, and the same after a restart.
        node: of the cluster, by its id.
        labels: that streams may ask for.
        config: checked.
        data: folder of this engine alone: what is not with the stores yet.
        begun: see Member.
    Raises: ConfigError; StoreError.
    """
    notifier = OutboxNotifier(config.notify, damping_seconds=config.service.damping_seconds)
    settings = settings_of(config, data)
    # One engine in this process's fleet, whatever the configuration says of groups: the cluster has the others.
    first: Group = settings.groups[0]
    slots = config.processes.streams_per_engine
    fleet = LocalFleet(replace(settings, groups=(replace(first, name=name, slots=slots),)))
    verdicts = replace(VerdictSettings.of(config.storage, data), evidence=None)
    parts = MemberParts(
        store=store_of(config, notifier),
        fleet=fleet,
        verdicts=VerdictStore(verdicts),
        evidence=evidence_of(config, data),
    )
    return Member(name, node, labels, config, parts, begun)


def written(path: Path | None, environment: Mapping[str, str]) -> Written:
    """The configuration of a file, and what of the environment overrides it.

    Raises: ConfigError if the file cannot be read.
    """
    try:
        text = "" if path is None else path.read_text()
    except OSError as error:
        raise ConfigError(
            "cannot read the configuration",
            stream=str(path),
            why=error.strerror or str(error),
            remedy="name another file",
        ) from error
    return Written(text, {name: value for name, value in environment.items() if name.startswith("AVJURY_")})


def engine_folder(config: Config, name: str) -> Path:
    """The folder of an engine on its machine; the same after a restart there, so that its spool goes on.

    Source: where none is named, $XDG_STATE_HOME (XDG Base Directory Specification 0.8): it outlives a reboot, and is
    nobody else's, unlike the folder of temporary files.
    """
    if config.cluster.folder is not None:
        return config.cluster.folder / name
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "avjury" / name
