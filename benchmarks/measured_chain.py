"""The part of docs/benchmarks.md about the chain of functions: what it costs, and what one may object."""

from collections.abc import Mapping
from typing import Any

from benchmarks.measured_parts import GOAL_COST_RATIO, Lines, Record, judged, machine, table


def chain(record: Record) -> Lines:
    """`bench chain`."""
    figures = record["figures"]
    ours, variants = figures["avjury"], figures["chain"]
    alike = {name: of for name, of in variants.items() if of["like_the_original"]}
    late = {name: of for name, of in variants.items() if not of["like_the_original"]}
    yield (
        "The system that avjury replaces, run beside it on the same inputs with the same "
        f"{len(figures['detectors'])} detectors of picture and sound, and both told the same receiver: "
        "benchmarks/function_chain says how it is built, docs/decisions/0029 and 0076 what it is charged for, and the "
        "record holds every count, every assumption and the price list "
        f"({figures['prices']['date']}). {figures['streams']} streams side by side, "
        f"{ours['stream_seconds']:.0f} s of media in all; "
        f"{machine(record)}."
    )
    yield ""
    yield from table(
        ["input", "codec", "size", "rate", "sound"],
        [[one["clip"], one["codec"], f"{one['width']}x{one['height']}", one["rate"], "yes" if one["sound"] else "no"]
         for one in figures["inputs"]],
    )  # fmt: skip
    yield from table(
        ["way to build the chain", "$ per stream-hour", "orchestration, handoff, compute", "avjury's cost over it",
         "stops at", "incidents in both / only here / only there"],
        [_row(name, of) for name, of in alike.items()],
    )  # fmt: skip
    cheapest = variants[figures["cheapest_variant"]]
    yield (
        f"- avjury takes {ours['cpu_seconds_per_stream_second']:.3f} CPU seconds for a second of a stream, "
        f"{ours['cost_per_stream_hour']:.5f} $ per stream-hour of a {ours['instance']} that is used to "
        f"{ours['load']:.0%}. The goal is at most {GOAL_COST_RATIO:.0%} of the chain's cost; it is "
        f"{figures['cost_ratio']:.2%} of the cheapest chain that judges every second, as the original did: "
        f"{judged(figures['cost_ratio'] <= GOAL_COST_RATIO)}."
    )
    most = next(iter(alike.values()))
    for of in (most, cheapest) if most is not cheapest else (most,):
        each = of["per_stream_second"]
        yield (
            f"- *{of['summary'].partition(':')[0]}*: {each['cpu_seconds']:.2f} CPU seconds for a second of a stream, "
            f"{each['handoff_cpu_seconds']:.2f} of them for the handoff; {each['state_transitions']:.1f} state "
            f"transitions, {each['object_puts']:.1f} PUT and {each['object_gets']:.1f} GET requests, "
            f"{each['object_bytes'] / 1e6:.0f} MB through the store, {each['message_bytes'] / 1e3:.0f} kB of messages "
            f"  and states, {each['gb_seconds']:.2f} GB-seconds of functions."
        )
    limit = cheapest["limits"]
    yield (
        "- *Stops at*: streams at which a default limit of an account and region ends it, first that of state "
        f"transitions. A thousand streams of the original's way ask for "
        f"{most['limits']['needs_of_1000_streams']['state_transitions_per_second']:,.0f} transitions and "
        f"{most['limits']['needs_of_1000_streams']['object_puts_per_second']:,.0f} PUT requests a second, of the "
        f"  cheapest {limit['needs_of_1000_streams']['state_transitions_per_second']:,.0f} and "
        f"{limit['needs_of_1000_streams']['object_puts_per_second']:,.0f}. In smaller regions the cheapest stops at "
        f"{limit['at_streams_other_regions']}. Limits can be raised on request."
    )
    yield ""
    yield from _objections(figures, cheapest, late)


def _row(name: str, of: Mapping[str, Any]) -> list[object]:
    shares, same = of["cost"]["shares"], of["agreement"]
    return [
        f"*{name}*: {of['summary']}",
        f"{of['cost']['per_stream_hour']:.2f}",
        ", ".join(f"{shares[what]:.0%}" for what in ("orchestration", "handoff", "compute")),
        f"{of['cost_ratio']:.2%}",
        f"{of['limits']['at_streams']} streams",
        f"{same['in_both']} ({same['exact_to_the_last_bit']} to the last bit) / {len(same['only_avjury'])} / "
        f"{len(same['only_chain'])}",
    ]


def _objections(figures: Mapping[str, Any], cheapest: Mapping[str, Any], late: Mapping[str, Any]) -> Lines:
    ours, variants = figures["avjury"], figures["chain"]
    yield "What its builders may object, and what it comes to:"
    yield ""
    for of in late.values():
        yield (
            f"- *Longer segments.* {of['summary'][0].upper()}{of['summary'][1:]}: "
            f"{of['cost']['per_stream_hour']:.2f} $ per stream-hour, avjury "
            f"{of['cost_ratio']:.1%} of that. A defect is known up to {of['segment_seconds']} s later "
            "than it could be, "
            "which is what the original was built to avoid."
        )
    yield from _bulleted(
        "*Express workflows* are paid by request and duration, not by transition: "
        + ", ".join(
            f"{name} {of['cost']['per_stream_hour_by_express_workflows']:.3f} $ "
            f"({of['cost_ratio_by_express_workflows']:.1%})"
            for name, of in variants.items()
        )
        + " (in brackets avjury's cost over it). They may run a second twice, and have no state to go on from."
    )
    without = ", ".join(
        f"{name} {judged(of['cost_ratio_if_free']['both'] <= GOAL_COST_RATIO)}" for name, of in variants.items()
    )
    yield from _bulleted(
        "*Free orchestration and free requests*, so that only CPU time is paid: avjury costs "
        + ", ".join(f"{of['cost_ratio_if_free']['both']:.1%} of {name}" for name, of in variants.items())
        + ". What is left is the handoff: encoding, moving and decoding pictures again. The goal of "
        f"{GOAL_COST_RATIO:.0%}, against each chain without what it pays for orchestration and requests: {without}."
    )
    few = ", ".join(
        f"{row['per_stream_hour']:.4f} $ with {row['streams']}" for row in ours["by_streams_on_one_instance"]
    )
    first = ours["by_streams_on_one_instance"][0]["per_stream_hour"]
    yield from _bulleted(
        f"*An instance is paid for also when it is not full.* A stream-hour costs {few} on one {ours['instance']}. The "
        f"only stream of an instance costs {first / cheapest['cost']['per_stream_hour']:.0%} of the cheapest chain; a "
        "second instance, for when the first one fails, doubles each of these."
    )
    live = ours["as_the_live_service"]
    if live and live["per_stream_hour"]:
        yield from _bulleted(
            f"*It is files here, not live streams.* The live service with its API, processes and evidence holds "
            f"{live['streams']} channels of 1080p25 on that instance by its own record ({live['record']}): "
            f"{live['per_stream_hour']:.4f} $ per stream-hour, "
            f"{live['per_stream_hour'] / cheapest['cost']['per_stream_hour']:.1%} of the cheapest chain."
        )
    yield from _bulleted(
        "*Functions are charged by CPU time, not for waiting.* That favours the chain: with its waiting "
        "on this machine's "
        "store it would cost "
        + ", ".join(
            f"{of['cost']['per_stream_hour_if_waiting_were_charged']:.2f} $ ({name})" for name, of in variants.items()
        )
        + "."
    )
    yield from _bulleted("Every assumption:")
    for assumption in figures["assumptions"]:
        yield f"  - {assumption}"
    yield ""


def _bulleted(text: str) -> Lines:
    yield f"- {text}"
