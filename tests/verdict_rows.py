"""Stream-seconds that tests make up."""

import time

from engine.store.second_rows import row_of
from engine.verdicts import StreamSecond

NOON = 1_790_000_000.0 - 1_790_000_000 % 86400 + 43200  # 12:00:00 UTC of a day


def second(stream, number, *, measured=25, sound=1.0, errors=0, open=(), critical=(), unknown=()):
    return StreamSecond(
        stream, number, 25.0, measured, measured, sound, errors, tuple(open), tuple(unknown), tuple(critical)
    )


def row(stream, number, at=None, session="a", **values):
    return row_of(second(stream, number, **values), session, NOON + number if at is None else at)


def wait_until(holds, seconds=10.0):
    """Wait for something that another thread or process brings about; whether it came."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.02)
    return holds()
