"""Sound against picture of one stream: what its test pattern says, else its reference, else the sync network.

Called from the engine's loop only.
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from engine.flash_beep import FlashBeep, sync_error, words
from engine.network_sync import NetworkSync
from engine.reference_sync import Compared, ReferenceSync, sync_words
from engine.verdicts import SyncVerdict

# The first of these that tells is believed: a pattern is exact to 2 ms, and says how the stream itself is; a reference
# says how much the stream differs from it; the network may be wrong.
PRECEDENCE: Final = ("pattern", "reference", "network")
# Where the pattern told no longer than this ago, or has told this soon after, the reference is not asked.
PATTERN_HOLDS_SECONDS: Final = 60.0
_PATTERN_FOLLOWS_SECONDS: Final = 10.0
# What was found is said of the present for so long.
FRESH_SECONDS: Final = 60.0
_MOST_TOLD: Final = 256


@dataclass(frozen=True, slots=True)
class SyncRow:
    """Something that became known.

    Args:
        at: media second.
        sync_error: offset over what is tolerated; NaN says nothing.
        mismatch: 1 where the stream shows another programme than its reference, 0 where the same; NaN says nothing.
        cause: the offset, or the mismatch, for people; None where there is nothing to explain.
    """

    at: float
    sync_error: float = math.nan
    mismatch: float = math.nan
    cause: str | None = None


class LipSync:
    """All that is known of sound against picture of one stream.

    Args:
        pattern: looks for a test pattern; None does not.
        reference: compares with a reference stream; None without one.
        reference_name: for people.
        network: listens to what moves; None does not.
    """

    def __init__(
        self,
        pattern: FlashBeep | None,
        reference: ReferenceSync | None = None,
        reference_name: str = "",
        network: NetworkSync | None = None,
    ) -> None:
        self.pattern = pattern
        self.network = network
        self.reference = reference
        self.reference_name = reference_name
        self._patterned: deque[float] = deque(maxlen=_MOST_TOLD)  # media seconds of which the pattern has told
        self._offset_told_at = -math.inf
        self._latest: tuple[float, float] | None = None  # media second and offset of the latest pair

    def rows(self, limits: Mapping[str, float] | None, known_until: float, *, last: bool = False) -> list[SyncRow]:
        """What has become known since the last call.

        Args:
            limits: the parameters of av.sync; None where nobody asks for it.
            known_until: media second up to which every track was judged.
            last: no more comes.
        """
        found: list[SyncRow] = []
        if self.pattern is not None:
            for pair in self.pattern.settled(last=last):
                self._patterned.append(pair.at)
                self._latest = pair.at, pair.offset
                if limits is not None and pair.at > self._offset_told_at:
                    self._offset_told_at = pair.at
                    error = sync_error(pair.offset, limits["late"], limits["early"])
                    found.append(SyncRow(pair.at, sync_error=error, cause=words(pair.offset)))
        if self.reference is not None:
            for window in self.reference.settled(known_until):
                found += self._compared(self.reference, window, limits)
        if self.network is not None:
            for heard in self.network.settled(known_until, last=last):
                if limits is None or heard.at <= self._offset_told_at or self._has_pattern(heard.at):
                    continue
                self._offset_told_at = heard.at
                error = sync_error(heard.offset, limits["late"], limits["early"])
                found.append(SyncRow(heard.at, sync_error=error, cause=f"{words(heard.offset)} (by what moves)"))
        return found

    def _compared(
        self, reference: ReferenceSync, window: Compared, limits: Mapping[str, float] | None
    ) -> list[SyncRow]:
        rows = []
        if window.same is not None:
            cause = None if window.same else f"neither pictures nor sound are those of {self.reference_name}"
            rows.append(SyncRow(window.at, mismatch=0.0 if window.same else 1.0, cause=cause))
        for one in reference.agreeing(window):
            if limits is None or one.offset is None or one.at <= self._offset_told_at or self._has_pattern(one.at):
                continue
            self._offset_told_at = one.at
            error = sync_error(one.offset, limits["late"], limits["early"])
            rows.append(SyncRow(one.at, sync_error=error, cause=sync_words(one.offset, self.reference_name)))
        return rows

    def _has_pattern(self, at: float) -> bool:
        return any(at - PATTERN_HOLDS_SECONDS <= told <= at + _PATTERN_FOLLOWS_SECONDS for told in self._patterned)

    def now(self, at: float, limits: Mapping[str, float]) -> SyncVerdict:
        """What is known at a media second.

        Args:
            limits: the parameters of av.sync.
        """
        compared = self.reference
        window = None if compared is None else _fresh(compared.latest, at)
        told = (
            None if compared is None or (window is not None and not window.same) else _fresh(compared.latest_told, at)
        )
        same = None if window is None else window.same
        known = next((one.latency for one in (window, told) if one is not None and one.latency is not None), None)
        latency = _milliseconds(known)
        offset: float | None = None
        confidence = 0.0
        way: Literal["pattern", "reference", "network"] | None = None
        if self._latest is not None and at - self._latest[0] <= FRESH_SECONDS:
            offset, confidence, way = self._latest[1], 1.0, "pattern"
        elif told is not None:
            offset, confidence, way = told.offset, told.confidence, "reference"
        elif self.network is not None and self.network.latest is not None:
            heard = self.network.latest
            if at - heard.at <= FRESH_SECONDS:
                offset, confidence, way = heard.offset, heard.confidence, "network"
        if offset is None:
            return SyncVerdict("unknown", latency_ms=latency, same_programme=same)
        inside = -limits["early"] <= offset <= limits["late"]
        return SyncVerdict(
            verdict="in_sync" if inside else "out_of_sync",
            offset_ms=_milliseconds(offset),
            confidence=round(confidence, 3),
            way=way,
            latency_ms=latency,
            same_programme=same,
        )

    def summary(self, limits: Mapping[str, float]) -> dict[str, Any]:
        """What the summary says of all of the stream: by the pattern if it told, else by the reference.

        Args:
            limits: the parameters of av.sync.
        """
        late, early = limits["late"], limits["early"]
        pattern = self.pattern.verdict(late, early) if self.pattern is not None else None
        if self.network is not None and (pattern is None or pattern["verdict"] == "unknown"):
            heard = self.network.verdict(limits)
            return {**heard, "way": None if heard["verdict"] == "unknown" else "network"}
        if self.reference is None:
            return pattern or {"offset_ms": None, "confidence": 0.0, "verdict": "unknown"}
        compared = self.reference.verdict(late, early)
        if pattern is not None and pattern["verdict"] != "unknown":
            return {**compared, **pattern, "way": "pattern"}
        return {**compared, "way": None if compared["verdict"] == "unknown" else "reference"}


def _fresh(window: Compared | None, at: float) -> Compared | None:
    return None if window is None or at - window.until > FRESH_SECONDS else window


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 1)
