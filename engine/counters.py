"""Plain integers of the hot path. Exporters read one snapshot per tick; nothing here locks or formats."""

from dataclasses import asdict, dataclass, field


@dataclass(slots=True)
class StreamCounters:
    """Totals of one stream since it was added.

    Args:
        frames_decoded: pictures that the decoder gave.
        frames_measured: pictures that the kernels saw.
        frames_seen_by_network: pictures that the artifact network looked at.
        audio_samples: samples per channel at 48 kHz that the kernels saw.
        decode_errors: damaged packets and pictures that the decoder reported.
        discontinuities: jumps of the container's timestamps.
        packets, packet_bytes: compressed input.
    """

    frames_decoded: int = 0
    frames_measured: int = 0
    frames_seen_by_network: int = 0
    audio_samples: int = 0
    decode_errors: int = 0
    discontinuities: int = 0
    packets: int = 0
    packet_bytes: int = 0


@dataclass(slots=True)
class EngineCounters:
    """Totals of one engine.

    Args:
        device_to_host_bytes: everything that was copied from the device to the host.
        batches, batch_frames: frame batches and the frames in them.
        streams: per stream id.
    """

    device_to_host_bytes: int = 0
    batches: int = 0
    batch_frames: int = 0
    streams: dict[str, StreamCounters] = field(default_factory=dict)

    def snapshot(self) -> dict[str, object]:
        """A copy that no longer changes."""
        return asdict(self)
