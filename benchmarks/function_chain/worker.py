"""A warm instance of a function: a process that answers one invocation after another.

Run by: `system.Instance`, as a spawned process with one end of a pipe. It owns its function's state. It ends when the
pipe is closed; if it dies, the pipe says so to `system`, which fails the run.
"""

import json
import resource
import time
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any, Final

from benchmarks.function_chain.functions import Aggregator, Converter, Detectors, Function, Notifier

KINDS: Final[Mapping[str, Callable[..., Function]]] = {
    "convert": Converter,
    "detect": Detectors,
    "aggregate": Aggregator,
    "notify": Notifier,
}


def run(pipe: Connection, kind: str, arguments: Mapping[str, Any]) -> None:
    """Serve invocations.

    Args:
        pipe: JSON, an invocation in, an answer out.
        kind: of the function.
        arguments: that it is made with.
    """
    function: Any = KINDS[kind](**arguments)
    try:
        while True:
            try:
                request = json.loads(pipe.recv_bytes())
            except EOFError:
                return
            pipe.send_bytes(json.dumps(_answer(function, request)).encode())
    finally:
        function.close()


def _answer(function: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    if "usage" in request:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "cpu_seconds": time.process_time(),
            "spent": function.spent(),
            "counted": function.counted(),
            "resident_mb": used.ru_maxrss / 1024,
        }
    began = time.perf_counter()
    try:
        result = function.handle(request["event"])
    except Exception:  # noqa: BLE001 - whatever it is, the run has to end with it
        return {"error": traceback.format_exc()[-2000:]}
    return {"result": result, "wall_seconds": time.perf_counter() - began}
