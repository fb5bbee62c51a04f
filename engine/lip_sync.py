"""Sound against picture of one stream: what its test pattern says, else its reference, else the sync network.

How much is tolerated goes by whether somebody speaks where an offset was measured (sync_tolerance.py); not of a test
pattern, which is there to be measured by.

Called from the engine's loop only.
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from engine.flash_beep import FlashBeep, words
from engine.network_sync import AVERAGED_SECONDS, NetworkSync
from engine.reference_sync import Compared, ReferenceSync, sync_words
from engine.speech import Speech
from engine.sync_tolerance import Tolerance, judged, tolerance
from engine.verdicts import SyncVerdict
from models.sync_net import WINDOW_SECONDS

# The first of these that tells is believed: a pattern is exact to 2 ms, and says how the stream itself is; a reference
# says how much the stream differs from it; the network may be wrong.
PRECEDENCE: Final = ("pattern", "reference", "network")
# Where the pattern told no longer than this ago, or has told this soon after, the reference is not asked.
PATTERN_HOLDS_SECONDS: Final = 60.0
_PATTERN_FOLLOWS_SECONDS: Final = 10.0
# What was found is said of the present for so long.
FRESH_SECONDS: Final = 60.0
_MOST_TOLD: Final = 256
# The summary's tolerance is of so many of the last offsets: two hours.
_SUMMED_OFFSETS: Final = 3600
# What was heard is kept for so much longer than windows need it: the latest offset is still asked about for a minute.
_SPARE_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class SyncRow:
    """Something that became known.

    Args:
        at: media second.
        sync_error: offset over what is tolerated (sync_tolerance.py); NaN says nothing.
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
        speech: what is heard of the stream; None: nobody listens.
    """

    def __init__(
        self,
        pattern: FlashBeep | None,
        reference: ReferenceSync | None = None,
        reference_name: str = "",
        network: NetworkSync | None = None,
        speech: Speech | None = None,
    ) -> None:
        self.pattern = pattern
        self.network = network
        self.reference = reference
        self.reference_name = reference_name
        self.speech = speech
        self._shares: deque[float | None] = deque(maxlen=_SUMMED_OFFSETS)  # of speech, of offsets without a pattern
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
                    found += self._told(limits, pair.at, pair.offset, None, words(pair.offset))
        if self.reference is not None:
            for window in self.reference.settled(known_until):
                found += self._compared(self.reference, window, limits)
        if self.network is not None:
            for heard in self.network.settled(known_until, last=last):
                if limits is None or heard.at <= self._offset_told_at or self._has_pattern(heard.at):
                    continue
                share = self._speech_of(heard.at - AVERAGED_SECONDS, heard.at + WINDOW_SECONDS / 2)
                found += self._told(limits, heard.at, heard.offset, share, f"{words(heard.offset)} (by what moves)")
        if self.speech is not None:
            oldest = known_until - AVERAGED_SECONDS if self.reference is None else self.reference.needed_from
            self.speech.forget(oldest - _SPARE_SECONDS)
        return found

    def _told(
        self, limits: Mapping[str, float], at: float, offset: float, share: float | None, cause: str
    ) -> list[SyncRow]:
        """The row of an offset that became known, if it decides anything."""
        self._offset_told_at = at
        error = judged(limits, offset, share)
        if math.isnan(error):
            return []
        return [SyncRow(at, sync_error=error, cause=f"{cause}; {tolerance(limits, share).words(offset)}")]

    def _speech_of(self, begin: float, end: float) -> float | None:
        """The share of speech in what an offset was measured over without a pattern; None where nobody listens."""
        share = None if self.speech is None else self.speech.share(begin, end)
        self._shares.append(share)
        return share

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
            share = self._speech_of(2 * one.at - one.until, one.until)
            rows += self._told(limits, one.at, one.offset, share, sync_words(one.offset, self.reference_name))
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
        applies = tolerance(limits, None if way == "pattern" or not self._shares else self._shares[-1])
        return SyncVerdict(
            verdict="in_sync" if applies.allows(offset) else "out_of_sync",
            offset_ms=_milliseconds(offset),
            confidence=round(confidence, 3),
            way=way,
            latency_ms=latency,
            same_programme=same,
            tolerance_ms=applies.milliseconds,
            content=applies.content,
        )

    def summary(self, limits: Mapping[str, float]) -> dict[str, Any]:
        """What the summary says of all of the stream: by the pattern if it told, else by the reference.

        Args:
            limits: the parameters of av.sync.
        """
        strict = tolerance(limits, None)
        pattern: dict[str, Any] = {"offset_ms": None, "confidence": 0.0, "verdict": "unknown"}
        if self.pattern is not None:
            pattern = _with_tolerance(self.pattern.verdict(strict.late, strict.early), strict)
        told = pattern["verdict"] != "unknown"
        # Of all that was told, by the limits of where most was spoken: if any have opened an incident, these have.
        shares = [share for share in self._shares if share is not None]
        most = max(shares) if shares and len(shares) == len(self._shares) else None
        applies = tolerance(limits, most)
        if self.network is not None and not told:
            heard = _with_tolerance(self.network.verdict(applies.late, applies.early), applies)
            return {**heard, "way": None if heard["verdict"] == "unknown" else "network"}
        if self.reference is None:
            return pattern
        compared = _with_tolerance(self.reference.verdict(applies.late, applies.early), applies)
        if told:
            return {**compared, **pattern, "way": "pattern"}
        return {**compared, "way": None if compared["verdict"] == "unknown" else "reference"}


def _with_tolerance(found: Mapping[str, Any], applies: Tolerance) -> dict[str, Any]:
    """A verdict with what it was made by, where it is one."""
    return {**found, **({} if found["verdict"] == "unknown" else applies.as_json())}


def _fresh(window: Compared | None, at: float) -> Compared | None:
    return None if window is None or at - window.until > FRESH_SECONDS else window


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 1)
