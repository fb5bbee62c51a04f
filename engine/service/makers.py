"""What makes the parts of the service that do not belong to its core; tests put others in their place."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.config import Config
from engine.notify.notifier import Notifier as OutboxNotifier
from engine.service.contract import Fleet
from engine.service.evidence_files import EvidenceFiles, KeepsEvidence
from engine.service.fleet import LocalFleet
from engine.service.fleet_settings import settings_of
from engine.service.sinks import Notifier, SecondsReader, VerdictSink
from engine.store.objects import open_objects
from engine.store.parquet import VerdictSettings, VerdictStore
from engine.store.verdict_reader import VerdictReader


def _evidence(_config: Config, data: Path) -> KeepsEvidence:
    return EvidenceFiles(data)


@dataclass(frozen=True, slots=True)
class Makers:
    """What makes the parts.

    Args:
        fleet: from the configuration and the data folder.
        notifier: from the configuration; None where nobody is to be told.
        verdicts: the store of stream-seconds and its reader, from the configuration and the data folder.
        evidence: where evidence is kept, from the configuration and the data folder.
    """

    fleet: Callable[[Config, Path], Fleet]
    notifier: Callable[[Config], Notifier | None]
    verdicts: Callable[[Config, Path], tuple[VerdictSink, SecondsReader]]
    evidence: Callable[[Config, Path], KeepsEvidence] = _evidence


def _fleet(config: Config, data: Path) -> Fleet:
    return LocalFleet(settings_of(config, data))


def _notifier(config: Config) -> Notifier | None:
    return OutboxNotifier(config.notify, damping_seconds=config.service.damping_seconds)


def _verdicts(config: Config, data: Path) -> tuple[VerdictSink, SecondsReader]:
    settings = VerdictSettings.of(config.storage, data)
    return VerdictStore(settings), VerdictReader(open_objects(settings.place, settings.options), settings.spool)


DEFAULT_MAKERS: Final = Makers(fleet=_fleet, notifier=_notifier, verdicts=_verdicts)
