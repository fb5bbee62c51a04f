"""The seed of what tests of faults draw: the same each time, unless `avjury bench reliability` gives another."""

import os


def seed() -> int:
    return int(os.environ.get("AVJURY_FAULT_SEED", "7"))
