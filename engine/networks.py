"""The networks of an engine, with the weights that its settings name."""

from engine.errors import ConfigError
from engine.measure.listening import AudioNetworkUse
from engine.measure.network import NetworkUse
from engine.spec import AudioNetworkSettings, NetworkSettings, SyncNetworkSettings
from models.artifact_weights import load_artifact
from models.audio_weights import load_audio
from models.sync_weights import Sync, load_sync
from models.weight_files import WeightsError


def network_of(settings: NetworkSettings | None) -> NetworkUse | None:
    """The artifact network for an engine, if it is to be used.

    Raises: ConfigError if its weights are not what they should be.
    """
    if settings is None or settings.pictures_per_second <= 0:
        return None
    try:
        artifact = load_artifact(settings.weights)
    except WeightsError as error:
        raise ConfigError(
            "cannot use the network's weights",
            stream="" if settings.weights is None else str(settings.weights),
            why=str(error),
            remedy="write weights with avjury train, or leave engine.network.weights out",
        ) from error
    return NetworkUse(artifact, settings.pictures_per_second, settings.judges)


def audio_network_of(settings: AudioNetworkSettings | None) -> AudioNetworkUse | None:
    """The audio network for an engine, if it is to be used.

    Raises: ConfigError if its weights are not what they should be.
    """
    if settings is None or settings.windows_per_second <= 0:
        return None
    try:
        audio = load_audio(settings.weights)
    except WeightsError as error:
        raise ConfigError(
            "cannot use the audio network's weights",
            stream="" if settings.weights is None else str(settings.weights),
            why=str(error),
            remedy="write weights with avjury train audio, or leave engine.audio_network.weights out",
        ) from error
    return AudioNetworkUse(audio, settings.windows_per_second)


def sync_network_of(settings: SyncNetworkSettings | None) -> Sync | None:
    """The sync network for an engine, if it is to be used.

    Raises: ConfigError if its weights are not what they should be.
    """
    if settings is None or not settings.judges:
        return None
    try:
        return load_sync(settings.weights)
    except WeightsError as error:
        raise ConfigError(
            "cannot use the sync network's weights",
            stream="" if settings.weights is None else str(settings.weights),
            why=str(error),
            remedy="write weights with avjury train sync, or leave engine.sync_network.weights out",
        ) from error
