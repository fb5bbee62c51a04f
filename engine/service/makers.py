"""What makes the parts of the service that do not belong to its core; tests put others in their place."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.config import Config
from engine.notify.notifier import Notifier as OutboxNotifier
from engine.service.contract import Fleet
from engine.service.fleet import LocalFleet
from engine.service.fleet_settings import FleetSettings
from engine.service.places import Group
from engine.service.sinks import Notifier, SecondsReader, VerdictSink
from engine.store.objects import open_objects
from engine.store.parquet import VerdictSettings, VerdictStore
from engine.store.verdict_reader import VerdictReader

# Where the NVIDIA driver shows its GPUs; the supervisor itself loads no CUDA.
_DEVICES: Final = Path("/dev")
_SLOTS: Final = 256


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
    engine, storage = config.engine, config.storage
    clips = data / "evidence" / "new"
    clips.mkdir(parents=True, exist_ok=True)
    for left in clips.iterdir():  # of a service that was killed before it handed them over
        left.unlink()
    return LocalFleet(
        FleetSettings(
            groups=groups_of(config),
            streams_per_ingest=engine.streams_per_ingest,
            load_limit=engine.load_limit,
            evidence={
                "clips": storage.clips,
                "pre_roll_seconds": storage.clip_pre_roll_seconds,
                "post_roll_seconds": storage.clip_post_roll_seconds,
                "most_seconds": storage.clip_most_seconds,
                "ring_bytes": storage.ring_bytes,
                "folder": str(clips.resolve()),
            },
        )
    )


def groups_of(config: Config, devices: Path = _DEVICES) -> tuple[Group, ...]:
    """The engines that the configuration asks for: those that it names, else one for each GPU, else one on the CPU.

    Args:
        devices: where GPUs show as nvidia0, nvidia1, ...
    """
    engine = config.engine
    named = [(group.name, group.device, group.slots) for group in engine.groups]
    if not named and engine.device == "auto":
        gpus = sorted(int(path.name[6:]) for path in devices.glob("nvidia[0-9]*") if path.name[6:].isdigit())
        named = [(f"gpu{index}", f"cuda:{index}", _SLOTS) for index in gpus]
    if not named:
        named = [("main", engine.device, _SLOTS)]
    return tuple(
        Group(name, device, slots, engine.max_batch, engine.max_wait_seconds,
              1 if engine.decode_threads is None else engine.decode_threads)
        for name, device, slots in named
    )  # fmt: skip


def _notifier(config: Config) -> Notifier | None:
    return OutboxNotifier(config.notify, damping_seconds=config.service.damping_seconds)


def _verdicts(config: Config, data: Path) -> tuple[VerdictSink, SecondsReader]:
    settings = VerdictSettings.of(config.storage, data)
    return VerdictStore(settings), VerdictReader(open_objects(settings.place, settings.options), settings.spool)


DEFAULT_MAKERS: Final = Makers(fleet=_fleet, notifier=_notifier, verdicts=_verdicts)
