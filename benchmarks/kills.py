"""`avjury bench kills`: the live service, killed at random moments: what incidents are lost or told twice over.

Two channels over HTTP, black for two seconds out of every eight, are judged by `avjury serve` as a user starts it; a
receiver takes its webhooks. The supervisor gets SIGKILL at a random moment (one time in five within eight seconds of
its start, else within twelve seconds of the first verdicts), its children die with it, and it is started again on the
same data, `--kills` times, or until this benchmark gets SIGTERM. Then it runs for a while, and ends by SIGTERM itself.
One kill in four is at a chosen write instead: just before or after one of the first 100 calls of fsync, fdatasync or
rename (benchmarks/kill_at_write.c, which takes a C compiler).

What is counted, against what was sent, what the API said before each kill, and what the receiver has:

- *lost*: an incident that the API had shown and that is not there after the start, or was closed and is not any more; a
  beginning or an end that nobody was told of; an incident that is still open when the channels have been taken out; a
  black picture that was sent while the service judged the channel, from a second before it until three seconds after it
  was due to be known, and that no incident spans. What a connection would have shown after its end was not sent. Those
  that were due while the service said that it was more than a second late, or left pictures out, or while the sender
  could send nothing for a second, are counted by themselves.
- *doubled*: two incidents of one channel and detector at the same time; one change that was told under two keys.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import httpx
import imageio_ffmpeg

from benchmarks.harness import quantiles, write_result
from benchmarks.live.service import Origin, Receiver, Service, changes_of
from benchmarks.looped import RATE, loop_clip

CHANNELS: Final = ("one", "two")
UNIT_SECONDS: Final = 8.0
CHANNEL_SECONDS: Final = 75 * UNIT_SECONDS
BLACK_AT: Final = 3.0
BLACK_SECONDS: Final = 2.0
SET_SECONDS: Final = 0.5
# Of the kills, those that may come before anything is judged; the others come after every channel is.
EARLY_SHARE: Final = 0.2
EARLY_SECONDS: Final = 8.0
LATEST_SECONDS: Final = 12.0
WRITES_SHARE: Final = 0.25
WRITES: Final = 100
# A service that has not come to its write by then is killed all the same.
WRITES_SECONDS: Final = 60.0
LAST_RUN_SECONDS: Final = 30.0
# A second before the black begins, and after it is due to be known.
BEFORE_SECONDS: Final = 1.0
AFTER_SECONDS: Final = 3.0
LOOK_SECONDS: Final = 0.25
LATE_SECONDS: Final = 1.0
OVER_SECONDS: Final = 60.0
JUDGED_SECONDS: Final = 600.0  # a busy machine takes its time to start
CONFIG: Final = {
    "detectors": {"*": False, "video.black": {"black_min_duration": SET_SECONDS}, "stream.stall": True},
}


def make_black(folder: Path) -> Path:
    """A small channel that is black for some seconds of each unit."""
    unit = folder / "unit.ts"
    black = f"drawbox=color=black:t=fill:enable='gte(t,{BLACK_AT})*lt(t,{BLACK_AT + BLACK_SECONDS})'"
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", "-f", "lavfi",
        "-i", f"testsrc2=s=320x180:r={RATE}:d={UNIT_SECONDS}", "-f", "lavfi", "-i", f"sine=r=48000:d={UNIT_SECONDS}",
        "-vf", black, "-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", str(RATE), "-c:a", "aac", str(unit),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return loop_clip(unit, folder / "channel.ts", CHANNEL_SECONDS, every=UNIT_SECONDS)


@dataclass
class Seen:
    """What was seen of one run of the service.

    Args:
        judged: by channel, the Unix seconds between which its state was "running" at each look.
        late: by channel, the Unix seconds of looks at which its status said that it was judged late, or not in full.
        looks: by channel, its state at each look, where it was another than at the look before.
        incidents: as the API last showed them, by id.
        seconds: from the start of the process to the kill.
        ready: from its start to /readyz; None where it was killed before.
    """

    judged: dict[str, tuple[float, float]] = field(default_factory=dict)
    late: dict[str, list[float]] = field(default_factory=dict)
    looks: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    incidents: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0
    ready: float | None = None


def build_killer(folder: Path) -> Path | None:
    """The library that ends a service at a chosen write; None where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    library, source = folder / "kill_at_write.so", Path(__file__).with_name("kill_at_write.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return library


def watch(service: Service, seconds: float, *, judging: bool) -> Seen:
    """Look at the service often until it is gone, so long after its start, or after every channel ran for the first
    time."""
    seen = Seen()
    begin = None if judging else service.started
    while service.alive and (begin is None or time.monotonic() - begin < seconds):
        with contextlib.suppress(httpx.HTTPError):
            if seen.ready is None and service.client.get("/readyz").status_code == 200:
                seen.ready = time.monotonic() - service.started
            if begin is None and len(seen.judged) == len(CHANNELS):
                begin = time.monotonic()
            if time.monotonic() - service.started > JUDGED_SECONDS and begin is None:
                raise RuntimeError("the channels are not judged")
            before = time.time()
            for name, status in service.statuses().items():
                looks = seen.looks.setdefault(name, [])
                if not looks or looks[-1][1] != status["state"]:
                    looks.append((before, status["state"]))
                if status["state"] == "running":
                    seen.judged[name] = (seen.judged.get(name, (before, before))[0], before)
                if status["lag_seconds"] > LATE_SECONDS or status["sampling"] < 1:
                    seen.late.setdefault(name, []).append(before)
            seen.incidents = {one["id"]: one for one in service.incidents()}
        time.sleep(LOOK_SECONDS)
    seen.seconds = time.monotonic() - service.started
    return seen


def lost_over_a_start(before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What the API had shown before a kill, and does not after the next start."""
    problems = []
    for number, one in before.items():
        there = after.get(number)
        if there is None:
            problems.append(f"{one['detector']} {number} of {one['stream']} is not there any more")
        elif one["state"] == "closed" and there["state"] == "open" and there["reopenings"] == one["reopenings"]:
            problems.append(f"{one['detector']} {number} of {one['stream']} was closed, and is open")
    return problems


def doubled(incidents: Sequence[Mapping[str, Any]], told: Sequence[Mapping[str, Any]]) -> list[str]:
    """Incidents of one defect at the same time, and changes that were told under two keys."""
    problems = []
    by_kind: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for one in incidents:
        by_kind[one["stream"], one["detector"]].append(one)
    for kind, items in by_kind.items():
        items.sort(key=_opened_at)
        for first, second in pairwise(items):
            if first["closed_at"] is None or _closed_at(first) > _opened_at(second):
                problems.append(f"{kind}: {first['id']} and {second['id']} at the same time")
    keys: dict[tuple[str, str, int], set[str]] = defaultdict(set)
    for change in told:
        keys[change["id"], change["change"], change["reopenings"]].add(change["key"])
    problems += [f"{what} was told under {len(found)} keys" for what, found in keys.items() if len(found) > 1]
    return problems


def lost_in_the_end(
    incidents: Sequence[Mapping[str, Any]], told: Sequence[Mapping[str, Any]], due: Sequence[tuple[str, float]]
) -> list[str]:
    """Incidents of which nobody was told, and black pictures that no incident has."""
    opened = {change["id"] for change in told if change["change"] == "opened"}
    closed = {change["id"] for change in told if change["change"] == "closed"}
    problems = [f"nobody was told that {one['id']} began" for one in incidents if one["id"] not in opened]
    problems += [f"nobody was told that {one['id']} ended" for one in incidents
                 if one["state"] == "closed" and one["id"] not in closed]  # fmt: skip
    problems += [f"{one['id']} is open" for one in incidents if one["state"] == "open"]
    problems += [f"the black picture of {channel} due at {at:.2f} is in no incident" for channel, at in
                 missed_of(incidents, due)]  # fmt: skip
    return problems


def missed_of(incidents: Sequence[Mapping[str, Any]], due: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """The black pictures that no incident spans."""
    black = [one for one in incidents if one["detector"] == "video.black"]
    return [
        (channel, at) for channel, at in due if not any(one["stream"] == channel and _spans(one, at) for one in black)
    ]


def due_in(
    seen: Seen,
    connections: Sequence[tuple[str, float]],
    ended: Mapping[tuple[str, float], float] = MappingProxyType({}),
    held: Sequence[tuple[str, float, float]] = (),
    *,
    late: bool = False,
) -> list[tuple[str, float]]:
    """The moments at which black pictures had to be known in one run, by channel.

    Args:
        connections: channel and when its first picture was sent, of each connection of the run.
        ended: by connection when it was over, where it is.
        held: since and until when nothing could be sent to a channel.
        late: those meanwhile the service said that it was late, or left pictures out, or nothing could be sent to it;
            else the others.
    """
    found = []
    for channel, first in connections:
        begin, end = seen.judged.get(channel, (0.0, 0.0))
        end = min(end, ended.get((channel, first), end))
        at = first + BLACK_AT + SET_SECONDS
        while at < end:
            since, until = at - SET_SECONDS - BEFORE_SECONDS, at + AFTER_SECONDS
            was_late = any(since < look < until for look in seen.late.get(channel, ()))
            was_held = any(name == channel and since < over and begun < until for name, begun, over in held)
            if since > begin and until < end and (was_late or was_held) == late:
                found.append((channel, at))
            at += UNIT_SECONDS
    return found


def _spans(incident: Mapping[str, Any], due: float) -> bool:
    """Whether an incident was there when a black picture was due to be known, or soon after."""
    closed = incident["closed_at"] is not None and _closed_at(incident) < due - SET_SECONDS
    return _opened_at(incident) < due + AFTER_SECONDS and not closed


def _opened_at(incident: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(incident["opened_at"]).timestamp()


def _closed_at(incident: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(incident["closed_at"]).timestamp()


def measure_kills(folder: Path, kills: int, rng: random.Random, enough: threading.Event) -> dict[str, Any]:
    """Kill it so often, or until it is enough, and count what is wrong."""
    clip, killer = make_black(folder), build_killer(folder)
    receiver, origin = Receiver(), Origin(clip)
    at_writes = 0
    lost: list[str] = []
    runs: list[Seen] = []
    due: list[tuple[str, float]] = []
    due_late: list[tuple[str, float]] = []
    known: dict[str, Mapping[str, Any]] = {}
    channels = [{"id": name, "url": origin.url(name)} for name in CHANNELS]
    place, config = folder / "service", {**CONFIG, "streams": channels}
    try:
        last = False
        for number in range(kills + 1):
            last = number == kills or enough.is_set()
            before = len(origin.connections)
            at_write = killer is not None and rng.random() < WRITES_SHARE and not last
            write = rng.randint(1, WRITES) * rng.choice((1, -1))
            chosen = {"LD_PRELOAD": str(killer), "KILL_AT_WRITE": str(write)} if at_write else {}
            service = Service(place, receiver, config, patient=False, environment=chosen)
            try:
                early = rng.random() < EARLY_SHARE and not last
                most = EARLY_SECONDS if early else LATEST_SECONDS
                wait = LAST_RUN_SECONDS if last else WRITES_SECONDS if at_write else rng.uniform(0.0, most)
                seen = watch(service, wait, judging=not early and not at_write)
                at_writes += at_write and not service.alive
                if last:
                    seen.incidents = _when_all_is_over(service, receiver)
            finally:
                service.close() if last else service.kill()
            if seen.incidents:  # else it never came to answer
                lost += lost_over_a_start(known, seen.incidents)
                known = seen.incidents
            runs.append(seen)
            connections = origin.connections[before:]
            now_due = due_in(seen, connections, origin.ended, origin.late)
            for channel, at in missed_of(list(known.values()), now_due):
                # What there is to find out why, as long as there is somebody to read it.
                print(f"{channel} due at {at:.2f}: {seen.judged}, {seen.looks}, {seen.late}, {connections}, "  # noqa: T201
                      f"{origin.ended}, {origin.late}", file=sys.stderr)  # fmt: skip
            due += now_due
            due_late += due_in(seen, connections, origin.ended, origin.late, late=True)
            if last:
                kills = number
            print(f"{number + 1} of {kills + 1}: {seen.seconds:.1f} s, ready after {seen.ready or 0:.1f} s, "  # noqa: T201
                  f"{len(known)} incidents, {len(due)} due, lost {len(lost)}", file=sys.stderr, flush=True)  # fmt: skip
            if last:
                break
    finally:
        origin.close()
        receiver.close()
    told = [change for _, body in receiver.arrived for change in changes_of(body)]
    incidents = list(known.values())
    lost += lost_in_the_end(incidents, told, due)
    twice = doubled(incidents, told)
    ready = [run.ready for run in runs if run.ready is not None]
    return {
        "kills": kills,
        "kills_at_chosen_writes": at_writes,
        "kills_before_ready": sum(run.ready is None for run in runs),
        "kills_with_open_incidents": sum(
            any(one["state"] == "open" for one in run.incidents.values()) for run in runs[:-1]
        ),
        "incidents": len(incidents),
        "black_pictures_due": len(due),
        "black_pictures_due_while_late": len(due_late),
        "of_these_in_no_incident": len(missed_of(incidents, due_late)),
        "webhooks": len(receiver.arrived),
        "webhooks_again_with_the_same_key": len(told) - len({change["key"] for change in told}),
        "seconds_to_ready": quantiles(ready),
        "lost": len(lost),
        "doubled": len(twice),
        "problems": [*lost, *twice][:100],
    }


def _when_all_is_over(service: Service, receiver: Receiver) -> dict[str, Mapping[str, Any]]:
    """Pause the channels, and wait until what was open has closed and all is told; what does not is a problem."""
    for name in CHANNELS:
        service.client.post(f"/api/v1/streams/{name}/pause").raise_for_status()
    deadline = time.monotonic() + OVER_SECONDS
    while True:
        found: dict[str, Mapping[str, Any]] = {one["id"]: one for one in service.incidents()}
        told = {change["id"] for _, body in receiver.arrived for change in changes_of(body)
                if change["change"] == "closed"}  # fmt: skip
        if not [one for one in found.values() if one["state"] == "open" or one["id"] not in told]:
            return found
        if time.monotonic() > deadline:
            return found
        time.sleep(LOOK_SECONDS)


def main() -> int:
    """Parse the command line, run, and keep the result."""
    parser = argparse.ArgumentParser(prog="avjury bench kills", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--kills", type=int, default=200, help="how often")
    parser.add_argument("--seed", type=int, help="of the moments; in the record")
    parser.add_argument("--results", type=Path, help="folder for the result; default: benchmarks/results")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    enough = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: enough.set())
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 30)
    with tempfile.TemporaryDirectory(prefix="avjury-bench-") as name:
        figures = measure_kills(Path(name), options.kills, random.Random(seed), enough)
    path = write_result("kills", {"seed": seed, **figures}, **({"folder": options.results} if options.results else {}))
    print(path)  # noqa: T201 - the command's result
    return 1 if figures["lost"] or figures["doubled"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
