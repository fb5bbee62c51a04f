"""Which streams of an engine are compared with which, and the fingerprints that are kept for it.

Called from the engine's loop only.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass

import torch

from engine.fingerprints import REGIONS, Fingerprint, Rows
from engine.measure.fingerprints import Fingerprints
from engine.reader import StreamReader
from engine.reference_sync import ReferenceSync


@dataclass(slots=True, eq=False)
class _Present:
    """A stream in its slot."""

    slot: int
    reader: StreamReader


class Comparing:
    """The comparisons of an engine's streams, by their ids.

    Args:
        pictures: keeps the rows of pictures.
        device: where those are.
        most_seconds: for which a stream's rows are kept at most, however long they may still be asked for.
    """

    def __init__(self, pictures: Fingerprints, device: torch.device, most_seconds: float = math.inf) -> None:
        self._pictures = pictures
        self._device = device
        self._most_seconds = most_seconds
        self._present: dict[str, _Present] = {}
        self._reference_of: dict[str, str] = {}
        self._running: dict[str, ReferenceSync] = {}
        self._prints: dict[str, Fingerprint] = {}
        self._expected: frozenset[str] = frozenset()
        self._copied = 0

    def expect(self, references: Collection[str]) -> None:
        """Streams that others will name as their reference: all of them is kept from the first picture on."""
        self._expected = frozenset(references)

    def enter(self, stream_id: str, slot: int, reader: StreamReader) -> None:
        """A stream moves in; its reader has not begun."""
        self._present[stream_id] = _Present(slot, reader)
        self._prints.pop(stream_id, None)  # of an earlier run
        self._update()

    def leave(self, stream_id: str) -> None:
        """A stream moves out; those that it is the reference of may still ask for what was kept of it."""
        self.compare(stream_id, None)
        present, kept = self._present.pop(stream_id), self._prints.get(stream_id)
        self._pictures.keep(present.slot, None)
        if kept is not None:
            kept.print.taken(kept.sound)
            kept.ended = True
        self._update()

    def ended(self, stream_id: str) -> None:
        """All that was read of a stream has been measured."""
        kept = self._prints.get(stream_id)
        if kept is not None and not kept.ended:
            kept.print.taken(kept.sound)
            kept.ended = True

    def compare(self, stream_id: str, reference: str | None) -> ReferenceSync | None:
        """Compare a stream with a reference from now on, which need not be there yet; None ends it."""
        if reference is None:
            self._reference_of.pop(stream_id, None)
            running = self._running.pop(stream_id, None)
            self._copied += running.device_to_host_bytes if running is not None else 0
            self._update()
            return None
        if self._reference_of.get(stream_id) == reference:
            return self._running[stream_id]
        self.compare(stream_id, None)
        self._reference_of[stream_id] = reference
        self._update()
        reader = self._present[stream_id].reader
        found = ReferenceSync(
            self._prints[stream_id],
            lambda: self._prints.get(reference),
            live=lambda: reader.info is not None and reader.info.live,
        )
        self._running[stream_id] = found
        return found

    def of(self, stream_id: str) -> ReferenceSync | None:
        """A stream's comparison."""
        return self._running.get(stream_id)

    def picture(self, stream_id: str, pts: float, arrived_at: float) -> None:
        """A picture was judged."""
        kept = self._prints.get(stream_id)
        if kept is not None:
            kept.arrived(pts, arrived_at)

    def forget(self) -> None:
        """Let go of what nobody asks for any more."""
        needed: dict[str, float] = {}
        for stream_id, running in self._running.items():
            needed[stream_id] = min(needed.get(stream_id, math.inf), running.needed_from)
            reference = self._reference_of[stream_id]
            if reference in self._prints:
                since = running.reference_needed_from(self._prints[reference])
                needed[reference] = min(needed.get(reference, math.inf), since)
        for stream_id, kept in self._prints.items():
            kept.print.taken(kept.sound)
            # Of what is not there, somebody will yet be compared with it.
            oldest = max(kept.pictures.until, kept.sound.until) - self._most_seconds
            kept.forget(max(needed.get(stream_id, -math.inf), oldest))

    @property
    def device_to_host_bytes(self) -> int:
        """Copied since the start."""
        return self._copied + sum(one.device_to_host_bytes for one in self._running.values())

    def _update(self) -> None:
        """Keep fingerprints of those that need them, and of no others."""
        needed = {*self._reference_of, *self._reference_of.values(), *self._expected}
        for stream_id, present in self._present.items():
            if stream_id in needed and stream_id not in self._prints:
                kept = Fingerprint(Rows(REGIONS, self._device))
                self._prints[stream_id] = kept
                self._pictures.keep(present.slot, kept.pictures)
                present.reader.print = kept.print
            elif stream_id not in needed and stream_id in self._prints:
                self._pictures.keep(present.slot, None)
                present.reader.print = None
        for stream_id in [one for one in self._prints if one not in needed]:
            del self._prints[stream_id]
