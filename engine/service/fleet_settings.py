"""Which processes the fleet runs, and their limits: from the configuration, and by default from what is there."""

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.config import Config
from engine.decode.driver import cuda_driver
from engine.errors import ConfigError, DeviceError
from engine.ingest.sandbox import paths_of
from engine.service.places import Group

# Clips that an engine has cut and nobody has taken yet; emptied at the start.
HANDOVER = "handover"


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """The fleet of one machine.

    Args:
        groups: one engine process each, with different names.
        streams_per_ingest: most streams that one ingest process reads; a crash in a demuxer touches so many.
        load_limit: share of its time up to which an engine takes in more streams.
        quarantine_deaths, quarantine_seconds: so many deaths under one stream within that time, and it is left out.
        hang_seconds: an engine that says nothing for so long is killed; one that said that it compiles its kernels is
            given COMPILING_LIMITS times as long.
        ingest_hang_seconds: the same of an ingest process, which reports once a second.
        ingest_memory_bytes: most address space of an ingest process; 0 for no limit.
        ingest_sandbox: an ingest process may open its own sources and what the system needs, and nothing else.
        ingest_paths: what each of them may read besides.
        overload: values of OverloadSettings that differ from its defaults.
        evidence: values of EvidenceSettings that differ from its defaults.
        handover: folder in which engines leave clips; None keeps none.
        slates: of the configuration, by name: each an image or a hash.
        network: values of NetworkSettings; empty leaves the network out.
        audio_network: values of AudioNetworkSettings; empty leaves that network out.
        sync_network: values of SyncNetworkSettings; empty leaves that network out.
    """

    groups: tuple[Group, ...] = (Group("main"),)
    streams_per_ingest: int = 16
    load_limit: float = 0.9
    quarantine_deaths: int = 5
    quarantine_seconds: float = 60.0
    hang_seconds: float = 300.0
    ingest_hang_seconds: float = 8.0
    ingest_memory_bytes: int = 8 << 30
    ingest_sandbox: bool = True
    ingest_paths: frozenset[str] = frozenset()
    overload: Mapping[str, float] = field(default_factory=dict)
    evidence: Mapping[str, float | bool] = field(default_factory=dict)
    handover: Path | None = None
    slates: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    network: Mapping[str, float | bool | str | None] = field(default_factory=dict)
    audio_network: Mapping[str, float | str | None] = field(default_factory=dict)
    sync_network: Mapping[str, bool | str | None] = field(default_factory=dict)


def settings_of(config: Config, data: Path) -> FleetSettings:
    """What the configuration says.

    Args:
        config: checked.
        data: the data folder.
    Raises: ConfigError if two groups have the same name.
    """
    processes, storage = config.processes, config.storage
    names = [group.name for group in processes.groups]
    if len(set(names)) < len(names):
        raise ConfigError(
            "wrong configuration",
            why=f"two stream groups are called {next(n for n in names if names.count(n) > 1)!r}",
            remedy="give every group of processes.groups its own name",
        )
    wanted = [
        (g.name, g.device or config.engine.device, g.streams or processes.streams_per_engine, bool(g.detectors))
        for g in processes.groups
    ]
    if not wanted:
        wanted = [(n, device, processes.streams_per_engine, False) for n, device in _devices(config.engine.device)]
    engine = config.engine
    return FleetSettings(
        groups=tuple(
            Group(
                name,
                device,
                slots,
                engine.max_batch,
                engine.max_wait_seconds,
                1 if engine.decode_threads is None else engine.decode_threads,
                engine.graphs,
                named_only,
            )
            for name, device, slots, named_only in wanted
        ),
        streams_per_ingest=processes.streams_per_reader,
        load_limit=processes.load_limit,
        quarantine_deaths=processes.quarantine_deaths,
        quarantine_seconds=processes.quarantine_seconds,
        ingest_memory_bytes=processes.reader_memory_bytes,
        ingest_sandbox=processes.reader_sandbox,
        # So that sources which are known from the start need no processes of their own.
        ingest_paths=frozenset(processes.reader_folders).union(*(paths_of(stream.url) for stream in config.streams)),
        overload={"lag_seconds": processes.lag_seconds},
        evidence={
            "clips": storage.clips,
            "pre_roll_seconds": storage.clip_pre_roll_seconds,
            "post_roll_seconds": storage.clip_post_roll_seconds,
            "most_seconds": storage.clip_most_seconds,
            "ring_bytes": storage.ring_bytes,
        },
        handover=data / HANDOVER,
        slates={name: slate.model_dump(exclude_none=True) for name, slate in config.slates.items()},
        network=engine.network.model_dump(mode="json"),
        audio_network=engine.audio_network.model_dump(mode="json"),
        sync_network=engine.sync_network.model_dump(mode="json"),
    )


def _devices(device: str) -> list[tuple[str, str]]:
    """Name and device of the engines where the configuration names none: one per GPU, or one on the CPU."""
    if device == "auto":
        return [(f"gpu{index}", f"cuda:{index}") for index in range(_gpus())] or [("cpu", "cpu")]
    return [(device.replace("cuda:", "gpu") if device != "cuda" else "gpu0", device)]


def _gpus() -> int:
    """GPUs of this machine that CUDA shows. The supervisor makes no context on them."""
    try:
        driver = cuda_driver()
    except DeviceError:
        return 0
    count = ctypes.c_int()
    return count.value if driver.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0
