"""The networks of an engine, with the weights that its settings name."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from engine.errors import ConfigError
from engine.measure.listening import AudioNetworkUse
from engine.measure.network import NetworkUse
from engine.spec import AudioNetworkSettings, NetworkSettings, SyncNetworkSettings
from engine.whole_pictures import LEAST_RATE
from models.artifact_history import ArtifactHistory, load_history
from models.artifact_weights import SHIPPED_WEIGHTS, load_artifact
from models.audio_weights import load_audio
from models.sync_weights import Sync, load_sync
from models.weight_files import WeightsError, digest_of

T = TypeVar("T")


def network_of(settings: NetworkSettings | None) -> NetworkUse | None:
    """The artifact network for an engine, if it is to be used.

    Raises: ConfigError if its weights are not what they should be.
    """
    if settings is None or settings.pictures_per_second <= 0:
        return None
    artifact = _read(load_artifact, settings.weights, "network", "artifact")
    history = _history_of(settings) if settings.whole_pictures else None
    return NetworkUse(artifact, settings.pictures_per_second, settings.judges, history, settings.confirms)


def _history_of(settings: NetworkSettings) -> ArtifactHistory:
    """The network over the maps of the pictures before.

    Raises: ConfigError if it cannot be used with these settings.
    """
    if settings.pictures_per_second < LEAST_RATE:
        raise _refused("they are looked at too seldom", f"set pictures_per_second to {LEAST_RATE:g} or more")
    try:
        history = load_history()
    except WeightsError as error:
        raise _refused(str(error), "install avjury anew, or leave out whole_pictures") from error
    if history.artifact != digest_of(settings.weights or SHIPPED_WEIGHTS):
        raise _refused("what tells by the pictures before was trained on other weights than those of `weights`",
                       "leave out weights, or whole_pictures")  # fmt: skip
    if settings.judges and history.point is None:
        raise _refused("nobody has measured from where on it may judge by whole pictures",
                       "leave out judges, or whole_pictures")  # fmt: skip
    return history


def _refused(why: str, remedy: str) -> ConfigError:
    return ConfigError("the artifact network cannot look at whole pictures", stream="", why=why, remedy=remedy)


def audio_network_of(settings: AudioNetworkSettings | None) -> AudioNetworkUse | None:
    """The audio network for an engine, if it is to be used.

    Raises: ConfigError if its weights are not what they should be.
    """
    if settings is None or settings.windows_per_second <= 0:
        return None
    return AudioNetworkUse(_read(load_audio, settings.weights, "audio_network", "audio"), settings.windows_per_second)


def sync_network_of(settings: SyncNetworkSettings | None) -> Sync | None:
    """The sync network for an engine, if it is to be used.

    Raises: ConfigError if its weights are not what they should be.
    """
    if settings is None or not settings.judges:
        return None
    return _read(load_sync, settings.weights, "sync_network", "sync")


def _read(load: Callable[[Path | None], T], weights: Path | None, key: str, name: str) -> T:
    """Weights as `load` reads them; `key` is that of the settings, `name` what `avjury train` calls the network."""
    try:
        return load(weights)
    except WeightsError as error:
        raise ConfigError(
            f"cannot use the weights of the {name} network",
            stream="" if weights is None else str(weights),
            why=str(error),
            remedy=f"write weights with avjury train {name}, or leave engine.{key}.weights out",
        ) from error
