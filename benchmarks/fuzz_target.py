"""One target under atheris, in a process of its own: what `avjury bench fuzz` starts.

Run by: benchmarks/fuzz.py. libFuzzer ends the process by itself when its time is up; where an input takes too long, or
too much memory, it dies and leaves that input. Whatever else is found is written down once for each place in which it
was raised, and the fuzzer goes on.
"""

import base64
import json
import sys
import traceback
from argparse import ArgumentParser
from pathlib import Path

from benchmarks.fuzz_targets import TARGETS

# numba compiles what these modules are made of, and cannot what atheris puts in.
COMPILED = ["engine.ingest.ts_packets", "engine.onset_loops"]
# Files are named as they lie in the tree.
ROOT = f"{Path(__file__).resolve().parents[1]}/"


def main() -> None:
    """Feed the target until its time is up."""
    arguments = ArgumentParser(description=main.__doc__, epilog="Further options are libFuzzer's.")
    arguments.add_argument("name", choices=sorted(TARGETS), help="of the reader")
    arguments.add_argument("found", help="file to which mistakes are added")
    given, options = arguments.parse_known_args()
    import atheris  # an extra: what this module takes is told without it

    target, found = TARGETS[given.name], given.found
    with atheris.instrument_imports(include=["engine"], exclude=COMPILED):
        feed = target.make()
    seen: set[str] = set()

    def one(data: bytes) -> None:
        try:
            feed(data)
        except Exception as error:  # noqa: BLE001 - a mistake of ours, kept with what led to it
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} in {Path(last.filename).name}, {last.name}"
            if where in seen:
                return
            seen.add(where)
            line = {"where": where, "error": str(error)[:300], "input": base64.b64encode(data).decode(),
                    "trace": traceback.format_exc().replace(ROOT, "")[-1500:]}  # fmt: skip
            with Path(found).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
