"""What both sides cost, by the price list of benchmarks/prices.json, and where the chain's account limits end it.

A function is charged for the CPU time that it used, at the memory that buys one vCPU, and not for the time in which it
waited for the object store: a lower bound, which favours the chain. What it would be charged with its waiting on this
machine stands beside it. The state machine and the object store are services: what they take of the CPU is theirs.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.function_chain.system import total

PRICES: Final = Path(__file__).parent.parent / "prices.json"
INSTANCE: Final = "c6i.xlarge"
HOUR: Final = 3600.0


def load_prices() -> dict[str, Any]:
    """The price list."""
    prices: dict[str, Any] = json.loads(PRICES.read_text(encoding="utf-8"))
    return prices


def chain_cost(counts: Mapping[str, Any], prices: Mapping[str, Any]) -> dict[str, Any]:
    """US dollars per stream-hour, by what they are for.

    Args:
        counts: of a run: `system.difference` of two `Chain.counts`.
        prices: the price list.
    """
    per_hour = HOUR / counts["stream_seconds"]
    gb = prices["lambda_mb_per_vcpu"] / 1024
    second = gb * prices["lambda_gb_second"]
    requests = total(counts, "invocations") * prices["lambda_request"]
    parts = {
        "orchestration": counts["transitions"] * prices["step_functions_transition"],
        "handoff_requests": counts["store"].get("PUT", 0) * prices["s3_put"]
        + counts["store"].get("GET", 0) * prices["s3_get"],
        "handoff_compute": total(counts, "handoff_cpu_seconds") * second,
        "compute": total(counts, "media_cpu_seconds") * second,
        "invocations": requests,
    }
    parts = {name: value * per_hour for name, value in parts.items()}
    whole = sum(parts.values())
    express = express_cost(counts, prices) * per_hour
    waited = (total(counts, "wall_seconds") - total(counts, "cpu_seconds")) * second * per_hour
    return {
        "per_stream_hour": whole,
        "parts": parts,
        "shares": {
            "orchestration": parts["orchestration"] / whole,
            "handoff": (parts["handoff_requests"] + parts["handoff_compute"]) / whole,
            "compute": (parts["compute"] + parts["invocations"]) / whole,
        },
        "per_stream_hour_if_waiting_were_charged": whole + max(0.0, waited),
        "orchestration_by_express_workflows": express,
        "per_stream_hour_by_express_workflows": whole - parts["orchestration"] + express,
    }


def express_cost(counts: Mapping[str, Any], prices: Mapping[str, Any]) -> float:
    """US dollars for the executions of a run if they were express workflows: each request, and how long it lasts.

    An execution is taken to last as long as its functions compute, one after another, and to need the least memory that
    is charged. Express workflows run an execution at least once, where standard ones run it exactly once, and keep no
    state that a broken-off one could go on from.
    """
    executions = counts["executions"]
    step = prices["step_functions_express_step_seconds"]
    lasts = math.ceil(total(counts, "cpu_seconds") / executions / step) * step
    gb = prices["step_functions_express_mb"] / 1024
    each = prices["step_functions_express_request"] + lasts * gb * prices["step_functions_express_gb_second"]
    return float(executions * each)


def one_process_cost(cpu_seconds: float, stream_seconds: float, load: float, prices: Mapping[str, Any]) -> float:
    """US dollars per stream-hour of a process on an instance that is rented whole.

    Args:
        cpu_seconds, stream_seconds: of a run.
        load: share of the instance's vCPUs that may be busy before streams are refused.
        prices: the price list.
    """
    instance = prices["instances"][INSTANCE]
    return float(instance["hour"] / instance["vcpus"] / load * cpu_seconds / stream_seconds)


def instance_cost_by_streams(cpu_seconds_per_stream_second: float, load: float, prices: Mapping[str, Any]) -> list[Any]:
    """What a stream-hour costs on one whole instance that judges only so many streams; the last row is a full one.

    Args:
        cpu_seconds_per_stream_second: of the one process.
        load: share of the instance's vCPUs that may be busy before streams are refused.
        prices: the price list.
    """
    instance = prices["instances"][INSTANCE]
    most = int(instance["vcpus"] * load / cpu_seconds_per_stream_second)
    counts = sorted({count for count in (1, 2, 5, 10, most) if 0 < count <= most})
    return [{"streams": count, "per_stream_hour": instance["hour"] / count} for count in counts]


def limits(counts: Mapping[str, Any], prices: Mapping[str, Any]) -> dict[str, Any]:
    """Streams at which each default limit of an account and region stops the chain, and which comes first."""
    allowed = prices["limits"]
    seconds = counts["stream_seconds"]
    need = {
        "state_transitions_per_second": counts["transitions"] / seconds,
        "executions_started_per_second": counts["executions"] / seconds,
        # As if no function ever waited; with waiting it is fewer streams.
        "concurrent_function_executions": total(counts, "cpu_seconds") / seconds,
    }
    streams = {name: int(allowed[name] / each) for name, each in need.items()}
    first = min(streams, key=lambda name: streams[name])
    return {
        "streams": streams,
        "first": first,
        "at_streams": streams[first],
        "at_streams_other_regions": int(
            allowed["state_transitions_per_second_other_regions"] / need["state_transitions_per_second"]
        ),
        "needs_of_1000_streams": {
            **{name: round(1000 * each, 1) for name, each in need.items()},
            "object_puts_per_second": round(1000 * counts["store"].get("PUT", 0) / seconds, 1),
            "object_gets_per_second": round(1000 * counts["store"].get("GET", 0) / seconds, 1),
            "object_gigabytes_per_second": round(
                (total(counts, "store_put_bytes") + total(counts, "store_get_bytes")) / seconds / 1e6, 1
            ),
        },
    }


def agreement(
    ours: Mapping[str, Sequence[Sequence[Any]]], theirs: Mapping[str, Sequence[Sequence[Any]]], within_seconds: float
) -> dict[str, Any]:
    """Which incidents both found.

    Args:
        ours, theirs: [detector, start, end] by stream.
        within_seconds: largest difference of start, and of end, between two incidents that are the same.
    """
    same = exact = 0
    missing: list[str] = []
    extra: list[str] = []
    for stream in sorted({*ours, *theirs}):
        left = [list(one) for one in theirs.get(stream, ())]
        for name, start, end in ours.get(stream, ()):
            near = [
                one for one in left
                if one[0] == name and abs(one[1] - start) <= within_seconds and abs(one[2] - end) <= within_seconds
            ]  # fmt: skip
            if not near:
                missing.append(f"{stream}: {name} {start:.2f} to {end:.2f}")
                continue
            nearest = min(near, key=lambda one: abs(one[1] - start) + abs(one[2] - end))
            left.remove(nearest)
            same += 1
            exact += nearest[1] == start and nearest[2] == end
        extra += [f"{stream}: {name} {start:.2f} to {end:.2f}" for name, start, end in left]
    return {
        "in_both": same,
        "exact_to_the_last_bit": exact,
        "only_avjury": missing,
        "only_chain": extra,
        "share": same / (same + len(missing) + len(extra)) if same or missing or extra else 1.0,
    }
