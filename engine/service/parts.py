"""The parts of a running service, as its API sees them."""

from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from engine.service.auth import Gate
from engine.service.canary import Canary
from engine.service.contract import Fleet
from engine.service.core import Core
from engine.service.events import EventHub
from engine.service.evidence_files import KeepsEvidence
from engine.service.health import Health
from engine.service.history import History
from engine.service.open_incidents import OpenIncidents
from engine.service.probe import Prober
from engine.service.reload import Reload
from engine.service.sessions import Sessions
from engine.service.shadow import Shadow
from engine.service.sinks import Notifier, SecondsReader
from engine.service.wall import Wall
from engine.store.sql import Store


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts.

    Args:
        data: the data folder.
        registry: of the metrics.
        sessions: of the web page.
        history: the last hours of every stream.
        wall: how all streams are now.
        shadow: what a profile that is tried would change.
        notifier: None where nobody is told.
        canary: None where none is wanted.
    """

    data: Path
    core: Core
    fleet: Fleet
    store: Store
    seconds: SecondsReader
    files: KeepsEvidence
    hub: EventHub
    open_incidents: OpenIncidents
    gate: Gate
    health: Health
    reload: Reload
    prober: Prober
    registry: CollectorRegistry
    sessions: Sessions
    history: History
    wall: Wall
    shadow: Shadow
    notifier: Notifier | None = None
    canary: Canary | None = None

    def wake_notifier(self) -> None:
        """There may be new notices."""
        if self.notifier is not None:
            self.notifier.wake()
