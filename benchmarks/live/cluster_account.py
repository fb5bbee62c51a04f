"""What `avjury bench cluster-failures` counts at the end: what was kept and told, beside what was sent."""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

import httpx

from benchmarks.kills import BLACK_AT, BLACK_SECONDS, SET_SECONDS, UNIT_SECONDS, doubled, lost_in_the_end, missed_of
from benchmarks.live.cluster_scenarios import CHANNELS, LIMIT_SECONDS, SETTLED_SECONDS, Bench
from benchmarks.live.ray_fleet import kept_seconds, kept_twice
from benchmarks.live.service import changes_of

# What is known of a moment at which a picture was shown: the first one of a session may have been sent a second before.
_BEFORE: Final = 1.5
_AFTER: Final = 3.5
_STEP: Final = 1.5
# Seconds are kept of which nothing was measured, or one picture in many, as while an engine starts or has too much to
# do, and say so. Somebody judged where any was; what is black has to be found where nearly all were.
_ANY: Final = 1e-6
_NEARLY_ALL: Final = 0.8


def account(bench: Bench) -> dict[str, Any]:
    """What was kept and told, beside what was sent; the channels are paused for it."""
    fleet = bench.fleet
    incidents = _when_all_is_over(bench)
    told = [change for _, body in bench.receiver.arrived for change in changes_of(body)]
    kept, judged, whole = (kept_seconds(fleet.folder / "verdicts", share) for share in (0.0, _ANY, _NEARLY_ALL))
    due = due_of(whole, bench.began)
    half_seen = sorted(set(due_of(kept, bench.began)) - set(due))
    lost = lost_in_the_end(incidents, told, due)
    for name, (begins, ends) in bench.windows.items():
        bench.outcomes[name]["longest_gap_seconds"] = round(longest_gap(judged, begins, ends), 2)
    twice = doubled(incidents, told)
    planted = [(one["stream"], _planted(one, bench.began)) for one in incidents]
    twice += [f"{count} incidents of black picture {number} of {stream}"
              for (stream, number), count in Counter(planted).items() if number is not None and count > 1]  # fmt: skip
    strays = sum(number is None for _, number in planted)
    return {
        "seconds_kept": sum(len(times) for sessions in kept.values() for times in sessions.values()),
        "kept_twice": kept_twice(kept),
        "incidents": len(incidents),
        "black_pictures_due": len(due),
        "black_pictures_due_while_not_all_was_measured": len(half_seen),
        "of_these_in_no_incident": len(missed_of(incidents, half_seen)),
        "lost": len(lost),
        "doubled": len(twice),
        "unplanted": strays,
        "problems": [*lost, *twice][:50],
    }


def longest_gap(kept: Mapping[str, Mapping[str, Sequence[float]]], begins: float, ends: float) -> float:
    """The longest stretch of any channel that nobody judged, seconds.

    Args:
        kept: by channel and session, when its seconds were played of which pictures were judged.
        begins, ends: Unix seconds between which it is looked for.
    """
    worst = 0.0
    for sessions in kept.values():
        times = sorted(at for session in sessions.values() for at in session if begins <= at <= ends)
        worst = max([worst, *(late - early - 1.0 for early, late in pairwise(times))])
    return worst


def due_of(kept: Mapping[str, Mapping[str, Sequence[float]]], began: float) -> list[tuple[str, float]]:
    """The moments at which black pictures had to be known: those around which every second was kept.

    Args:
        kept: by channel and session, when those of its seconds were played that count.
        began: Unix second at which the channels began.
    """
    found = []
    for channel, sessions in kept.items():
        times = sorted(at for session in sessions.values() for at in session)
        number = 0
        while times and (at := began + number * UNIT_SECONDS + BLACK_AT) < times[-1]:
            first, last = bisect_left(times, at - _BEFORE), bisect_left(times, at + _AFTER)
            # From the second before the window to the one behind it, without a hole.
            around = times[max(0, first - 1) : last + 1]
            whole = around and around[0] <= at - _BEFORE and around[-1] >= at + _AFTER
            if whole and all(late - early < _STEP for early, late in pairwise(around)):
                found.append((channel, at + SET_SECONDS))
            number += 1
    return found


def _planted(incident: Mapping[str, Any], began: float) -> int | None:
    """Which black picture an incident is of; None where there was none."""
    at = datetime.fromisoformat(incident["opened_at"]).timestamp() - began
    number = int((at - BLACK_AT + _BEFORE) // UNIT_SECONDS)
    within = at - number * UNIT_SECONDS - BLACK_AT
    return number if -_BEFORE <= within <= BLACK_SECONDS + _AFTER else None


def _when_all_is_over(bench: Bench) -> list[dict[str, Any]]:
    for name in CHANNELS:
        bench.fleet.api.post(f"/streams/{name}/pause").raise_for_status()
    end = time.monotonic() + LIMIT_SECONDS
    while True:
        incidents = _incidents(bench.fleet.api)
        closed = {change["id"] for _, body in list(bench.receiver.arrived) for change in changes_of(body)
                  if change["change"] == "closed"}  # fmt: skip
        if all(one["state"] == "closed" and one["id"] in closed for one in incidents) or time.monotonic() > end:
            time.sleep(SETTLED_SECONDS)  # seconds are written every two
            return _incidents(bench.fleet.api)
        time.sleep(0.5)


def _incidents(api: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        answer = api.get("/incidents", params={"limit": 100} | ({"cursor": cursor} if cursor else {}))
        answer.raise_for_status()
        found += answer.json()["items"]
        cursor = answer.json()["next"]
        if cursor is None:
            return found
