"""How many average streams an engine can judge in all: by what binds first.

Each resource is measured as the share of it that is in use by the streams that are judged now; a resource that is not
measured, or hardly used, says nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# Below it the share of a resource is mostly what it costs to be there at all, and not what streams cost.
LEAST_SHARE: Final = 0.3
# How full each may be: beyond it decoding queues up, or an allocation fails.
LIMITS: Final[Mapping[str, float]] = {"loop": 0.9, "nvdec": 0.9, "memory": 0.9, "network": 0.7}


@dataclass(frozen=True, slots=True)
class Capacity:
    """What an engine can take.

    Args:
        streams: in all, those that it judges now included.
        binds: the resource that ends it; "slots" where none does before the configured number.
    """

    streams: float
    binds: str


def capacity(streams: int, slots: int, shares: Mapping[str, float]) -> Capacity:
    """What an engine can take.

    Args:
        streams: that it judges now.
        slots: that it may have at most.
        shares: of each of LIMITS that is measured, 0 to 1.
    """
    most = Capacity(float(slots), "slots")
    if streams == 0:
        return most
    for name, share in shares.items():
        if share >= LEAST_SHARE:
            possible = streams * LIMITS[name] / share
            if possible < most.streams:
                most = Capacity(possible, name)
    return most


def network_share(before: tuple[float, int], now: tuple[float, int], link_bits: float | None) -> float | None:
    """Share of the machine's link that was received.

    Args:
        before, now: monotonic seconds, and bytes received so far.
        link_bits: bits per second of the link; None where it is not known.
    """
    seconds = now[0] - before[0]
    if link_bits is None or link_bits <= 0 or seconds <= 0:
        return None
    return max(0.0, min(1.0, (now[1] - before[1]) * 8 / seconds / link_bits))


def received(text: str) -> int:
    """Bytes received over all links but the loopback, of /proc/net/dev."""
    total = 0
    for line in text.splitlines()[2:]:
        name, _, counts = line.partition(":")
        if name.strip() != "lo" and counts.split():
            total += int(counts.split()[0])
    return total
