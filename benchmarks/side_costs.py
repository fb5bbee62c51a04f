"""`avjury bench side-costs`: what parts beside the loop cost: storing verdicts, asking about them, and the network.

- *Verdicts*: an hour of made-up seconds of many streams, one second in a hundred with an incident, written as the
  service writes them: a log a minute, parts of it in a folder, which are merged when the hour is over. Bytes, and CPU
  time of all threads.
- *Network*: CPU time of judging with the artifact network at its usual rate and without, measured as `bench network`
  does.
"""

import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import parser, quantiles, say, write_result
from engine.store.directory import Directory
from engine.store.questions import QUESTIONS, Answer, ask
from engine.store.second_rows import row_of
from engine.store.spool import Spool
from engine.store.upkeep import Upkeep
from engine.store.verdict_reader import VerdictReader
from engine.verdicts import StreamSecond

HOUR_BEGINS: Final = 1_790_010_000.0 // 3600 * 3600  # any hour
TROUBLED: Final = 0.01
QUESTION_TURNS: Final = 3
DEFECTS: Final = ("video.black", "video.freeze", "audio.silence", "video.blockiness")


def made_second(stream: str, number: int, rng: random.Random) -> StreamSecond:
    """A verdict on a healthy second of 25 pictures, or on one with an incident."""
    bad = rng.random() < TROUBLED
    held = (rng.choice(DEFECTS),) if bad else ()
    return StreamSecond(stream, number, 25.0, 25, 25, 1.0, int(bad), held, (), held if rng.random() < 0.5 else ())


def verdicts(folder: Path, streams: int, minutes: int) -> dict[str, Any]:
    """Write so many minutes of so many streams, merge them, and ask.

    Args:
        folder: empty.
        streams: their number.
        minutes: up to 60.
    """
    rng, names = random.Random(1), [f"channel-{index:04}" for index in range(streams)]
    spool, store = Spool(folder / "spool", 1 << 32), Directory(folder / "verdicts")
    log_bytes = part_bytes = 0
    written = 0.0
    for minute in range(minutes):
        seconds = range(60 * minute, 60 * (minute + 1))
        rows = [row_of(made_second(name, at, rng), "session", HOUR_BEGINS + at) for at in seconds for name in names]
        began = time.process_time()
        spool.append(rows)
        spool.sync()
        log_bytes += spool.log_bytes
        spool.finish_log()
        spool.make_parts()
        for part in spool.waiting():
            content = spool.content(part)
            if content is None:
                raise RuntimeError(f"{part.name} was lost")
            part_bytes += len(content)
            store.put(part.name, content)
            spool.sent(part)
        written += time.process_time() - began
    rows_in_all = 60 * minutes * streams
    merging = _cpu(lambda: Upkeep(store, spool, None, clock=lambda: HOUR_BEGINS + 3 * 3600).merge())
    spool.close()
    merged_bytes = sum(stored.bytes for stored in store.walk())
    reader, since, until = VerdictReader(store), HOUR_BEGINS, HOUR_BEGINS + 3600

    def asked(question: str) -> Callable[[], Answer]:
        return lambda: ask(reader, question, since=since, until=until)

    if asked("SELECT count(*) FROM seconds")().rows != ((rows_in_all,),):
        raise RuntimeError("rows were lost")
    questions = {name: quantiles([_cpu(asked(name)) for _ in range(QUESTION_TURNS)]) for name in QUESTIONS}
    page = [_cpu(lambda: reader.seconds(names[0], since=since, until=until, limit=1000)) for _ in range(QUESTION_TURNS)]
    return {
        "streams": streams,
        "rows": rows_in_all,
        "bytes_a_row": {"log": round(log_bytes / rows_in_all, 2), "parts": round(part_bytes / rows_in_all, 2),
                        "merged": round(merged_bytes / rows_in_all, 2)},
        "writing_cpu_microseconds_a_row": round(1e6 * written / rows_in_all, 2),
        "merging_cpu_seconds": round(merging, 3),
        "parts": minutes,
        "question_cpu_seconds": questions,
        "question_cpu_seconds_least": min(of["p50"] for of in questions.values()),
        "question_cpu_seconds_most": max(of["p50"] for of in questions.values()),
        "page_cpu_seconds": quantiles(page),
    }  # fmt: skip


def _cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> int:
    """Parse the command line, run, and keep the result."""
    arguments = parser("side-costs", __doc__)
    arguments.add_argument("--streams", type=int, default=300, help="of which verdicts are stored")
    arguments.add_argument("--minutes", type=int, default=60, help="of verdicts, up to 60")
    arguments.add_argument("--without-network", action="store_true", help="leave the network out")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="avjury-bench-") as name:
        figures: dict[str, Any] = {"verdicts": verdicts(Path(name), options.streams, options.minutes)}
        say(str(figures["verdicts"]))
        if not options.without_network:
            from benchmarks.network import cost
            from models.artifact_weights import SHIPPED_WEIGHTS

            figures["network"] = cost(SHIPPED_WEIGHTS, Path(name))
            say(str(figures["network"]))
    print(write_result("side-costs", figures, options.results))  # noqa: T201 - the command's result
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
