"""`avjury train`: which network, with what."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Training:
    """What to train; see models.train.TrainSettings.

    Args:
        network: "artifact", "history", "audio" or "sync".
        windows: of each clip; None: as many as is usual for the network.
        start: weights of the artifact network to start from, or whose maps are read; None: none, or the shipped ones.
    """

    network: str
    media: Path
    work: Path
    weights: Path
    minutes: float
    seed: int
    threads: int
    skip: tuple[str, ...]
    windows: int | None
    device: str
    start: Path | None = None


def run_training(wanted: Training, say: Callable[[str], None]) -> Path:
    """Train. Returns: the weights.

    Raises: ConfigError where there is nothing to train on.
    """
    told: dict[str, Any] = {
        name: getattr(wanted, name)
        for name in ("media", "work", "weights", "minutes", "seed", "threads", "skip", "device")
    }
    if wanted.windows is not None:
        told["windows"] = wanted.windows
    if wanted.network == "audio":
        from models.train_audio import AudioTrainSettings, sounds_of, train_audio

        _require(sounds_of(wanted.media, wanted.skip), wanted.media, "clips or sound files")
        try:
            return train_audio(AudioTrainSettings(**told), say)
        except ValueError as error:
            raise ConfigError("cannot train on this", stream=str(wanted.media), why=str(error),
                              remedy="name a folder with more sound, or mend what it says") from error  # fmt: skip
    from models.train import TrainSettings, clips_of, train
    from models.weight_files import WeightsError

    if wanted.network == "sync":
        from models.train_sync import SyncTrainSettings, train_sync

        _require(clips_of(wanted.media, wanted.skip), wanted.media, "clips with people who talk")
        try:
            return train_sync(SyncTrainSettings(**told), say)
        except ValueError as error:
            raise ConfigError("cannot train on this", stream=str(wanted.media), why=str(error),
                              remedy="name a folder of clips with people who talk") from error  # fmt: skip

    _require(clips_of(wanted.media, wanted.skip), wanted.media, "clips")
    try:
        settings = TrainSettings(**told, start=wanted.start)
        if wanted.network == "history":
            from models.train_history import train_history

            return train_history(settings, say)
        return train(settings, say)
    except WeightsError as error:
        raise ConfigError("cannot start from these weights", stream=str(wanted.start), why=str(error),
                          remedy="name weights of the artifact network, or leave --from out") from error  # fmt: skip


def _require(found: list[Path], media: Path, what: str) -> None:
    if not found:
        raise ConfigError("nothing to train on", stream=str(media), why="no clip is in this folder",
                          remedy=f"name a folder of {what}")  # fmt: skip
