"""Puts stream-seconds until it is killed: `verdict_writer.py VERDICTS SPOOL FIRST`; says what has been written."""

import sys
import time
from pathlib import Path

from engine.store.parquet import VerdictSettings, VerdictStore
from engine.verdicts import StreamSecond

STREAMS = 3
NOON = 1_789_992_000.0


def main(place, spool, first):
    store = VerdictStore(VerdictSettings(place, Path(spool), flush_seconds=0.3))
    store.start()
    for number in range(first, first + 100_000):
        for stream in range(STREAMS):
            # Twenty minutes to a step: parts of several hours come of one log.
            store.put(StreamSecond(f"s{stream}", number, 25, 25, 25, 1.0, 0, (), ()), "run", NOON + 1200 * number)
        if number % 5 == 0:
            # All streams' seconds up to here are with the operating system.
            print(first + store.snapshot()["written_seconds"] // STREAMS, flush=True)  # noqa: T201
        time.sleep(0.002)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
