"""What an engine is told: how it runs, and which streams it judges."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.evidence.recorder import EvidenceSettings
from engine.ingest.url_policy import UrlPolicy
from engine.slates import Slate


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """How an engine uses the artifact network.

    Args:
        pictures_per_second: of each stream that it looks at; 0 leaves it out.
        judges: what it says counts for `video.corruption`.
        weights: its weights; those of the package unless told.
        whole_pictures: it looks at whole pictures, with what they showed before, where it looks at most of them.
        confirms: it is asked for a second opinion where blocks are torn a little, which counts for `video.corruption`.
    """

    pictures_per_second: float = 1.0
    judges: bool = False
    weights: Path | None = None
    whole_pictures: bool = False
    confirms: bool = True


@dataclass(frozen=True, slots=True)
class AudioNetworkSettings:
    """How an engine uses the audio network.

    Args:
        windows_per_second: of two seconds, of each stream that it listens to; 0 leaves it out.
        weights: its weights; those of the package unless told.
    """

    windows_per_second: float = 0.1
    weights: Path | None = None


@dataclass(frozen=True, slots=True)
class SyncNetworkSettings:
    """How an engine uses the sync network, on streams that have no reference.

    Args:
        judges: it is used at all.
        weights: its weights; those of the package unless told.
    """

    judges: bool = False
    weights: Path | None = None


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How an engine runs.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:N".
        max_batch: most pictures in one batch.
        max_wait_seconds: how long a ready picture waits for other streams' pictures; None chooses by the device.
        decode_threads: threads of one software decoder. 1 keeps damaged streams' pictures the same from run to run; 0
            takes all cores, for one long file.
        realtime: deliver files at the pace of their media clock.
        reconnect: open a live source again when it has ended or failed, for ever; off, its end is the stream's end.
        trace: keep every row of measures, for a report.
        thumbnails: keep a picture of each incident's worst moment.
        evidence: what is kept of incidents, where the engine has somebody to hand it to.
        slates: pictures to look for, of `video.slate`.
        graphs: on a GPU, record the launches of a batch once and play them back for the others.
        levels: keep the lowest and highest value of each measure in every second.
        network: how the artifact network is used; None leaves it out.
        audio_network: how the audio network is used; None leaves it out.
        sync_network: how lip sync is judged without a reference; None does not.
    """

    device: str = "auto"
    max_batch: int = 256
    max_wait_seconds: float | None = None
    decode_threads: int = 1
    realtime: bool = False
    reconnect: bool = False
    trace: bool = False
    thumbnails: bool = False
    evidence: EvidenceSettings = field(default_factory=EvidenceSettings)
    slates: tuple[Slate, ...] = ()
    graphs: bool = True
    levels: bool = False
    network: NetworkSettings | None = None
    audio_network: AudioNetworkSettings | None = None
    sync_network: SyncNetworkSettings | None = None


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """One stream to judge.

    Args:
        id: unique among the streams.
        url: file path or URL.
        detectors: enabled detectors, each with the parameters that differ from its defaults; None enables all.
        policy: what may be opened.
        rendition: of a master playlist or manifest: "best", "worst", or a height as "720".
        reference: id of a stream of the same programme that it is compared with; None without one.
        shadow: detectors that are tried beside these on the same measures, as `detectors`; None tries none.
    """

    id: str
    url: str
    detectors: Mapping[str, Mapping[str, object]] | None = None
    policy: UrlPolicy = field(default_factory=UrlPolicy)
    rendition: str = "best"
    reference: str | None = None
    shadow: Mapping[str, Mapping[str, object]] | None = None
