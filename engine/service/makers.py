"""What makes the parts of the service that do not belong to its core, by name; tests put others in their place."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from engine.config import Config
from engine.service.contract import Fleet
from engine.service.sinks import Notifier, SecondsReader, VerdictSink


@dataclass(frozen=True, slots=True)
class Makers:
    """What makes the parts.

    Args:
        fleet: from the configuration and the data folder.
        notifier: from the configuration; None where nobody is to be told.
        verdicts: the store of stream-seconds and its reader, from the configuration and the data folder.
    """

    fleet: Callable[[Config, Path], Fleet]
    notifier: Callable[[Config], Notifier | None]
    verdicts: Callable[[Config, Path], tuple[VerdictSink, SecondsReader]]


def _fleet(config: Config, data: Path) -> Fleet:
    made: Fleet = import_module("engine.service.fleet").ProcessFleet(config, data)
    return made


def _notifier(config: Config) -> Notifier | None:
    made: Notifier = import_module("engine.notify.notifier").Notifier(
        config.notify, damping_seconds=config.service.damping_seconds
    )
    return made


def _verdicts(config: Config, data: Path) -> tuple[VerdictSink, SecondsReader]:
    parquet, objects = import_module("engine.store.parquet"), import_module("engine.store.objects")
    storage: Any = config.storage
    place, spool = storage.verdicts or data / "verdicts", data / "spool"
    settings = parquet.VerdictSettings(
        place=place,
        spool=spool,
        options=storage.options,
        spool_bytes=storage.spool_bytes,
        flush_seconds=storage.flush_seconds,
        retention_days=storage.retention_days,
        evidence=data / "evidence",
        evidence_days=storage.evidence_days,
    )
    reader = import_module("engine.store.verdict_reader").VerdictReader(
        objects.open_objects(place, storage.options), spool
    )
    return parquet.VerdictStore(settings), reader


DEFAULT_MAKERS: Final = Makers(fleet=_fleet, notifier=_notifier, verdicts=_verdicts)
