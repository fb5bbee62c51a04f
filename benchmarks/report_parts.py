"""The parts of docs/results.html: tables and plots of the records of each benchmark."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

from benchmarks.charts import bars, lines_over
from benchmarks.measured_parts import GOAL_ONE_STREAM

Parts = Iterator[str]
# What a part of a cost is has one colour in every plot.
COLOURS: Final = {
    "orchestration": "#1565c0", "handoff: requests": "#ef6c00", "handoff: CPU": "#ffb74d", "handoff": "#ffb74d",
    "compute": "#2e7d32",
}  # fmt: skip


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """As HTML."""

    def row(cells: Sequence[object], kind: str) -> str:
        return "<tr>" + "".join(f"<{kind}>{escape(str(cell))}</{kind}>" for cell in cells) + "</tr>"

    return "<table>" + row(head, "th") + "".join(row(cells, "td") for cells in rows) + "</table>"


def _chain(figures: Mapping[str, Any]) -> Parts:
    ours, variants = figures["avjury"], figures["chain"]
    cheapest = variants[figures["cheapest_variant"]]
    yield (
        f"<p>avjury costs <b>{figures['cost_ratio']:.2%}</b> of the cheapest way to build the chain "
        f"({escape(cheapest['summary'])}). The goal is at most 5 %. {figures['streams']} streams, "
        f"{len(figures['detectors'])} detectors; prices of {figures['prices']['date']}.</p>"
    )
    yield table(
        ["input", "codec", "size", "pictures per second", "sound"],
        [[i["clip"], i["codec"], f"{i['width']} x {i['height']}", i["rate"], "yes" if i["sound"] else "no"]
         for i in figures["inputs"]],
    )  # fmt: skip
    yield table(
        ["way to build the chain", "", "counts for the goal"],
        [[name, of["summary"], "yes" if of["like_the_original"] else "no: it knows late"]
         for name, of in variants.items()],
    )  # fmt: skip
    rows: list[tuple[str, Mapping[str, float]]] = []
    for name, of in variants.items():
        p = of["cost"]["parts"]
        rows.append((f"chain, {name}", {
            "orchestration": p["orchestration"],
            "handoff: requests": p["handoff_requests"],
            "handoff: CPU": p["handoff_compute"],
            "compute": p["compute"] + p["invocations"],
        }))  # fmt: skip
    rows.append(("avjury", {"compute": ours["cost_per_stream_hour"]}))
    yield bars("Cost of a stream-hour", rows, "$", colours=COLOURS)
    yield bars(
        "CPU time for a second of a stream",
        [
            *((f"chain, {name}", {
                "handoff": of["per_stream_second"]["handoff_cpu_seconds"],
                "compute": of["per_stream_second"]["cpu_seconds"] - of["per_stream_second"]["handoff_cpu_seconds"],
              }) for name, of in variants.items()),
            ("avjury", {"compute": ours["cpu_seconds_per_stream_second"]}),
        ],
        "s",
        colours=COLOURS,
    )  # fmt: skip
    each = [of["per_stream_second"] for of in variants.values()]
    yield table(
        ["per stream-second", *variants, "avjury"],
        [
            ["CPU seconds of functions", *(f"{e['cpu_seconds']:.3f}" for e in each),
             f"{ours['cpu_seconds_per_stream_second']:.3f}"],
            [
                "wall seconds, all streams side by side",
                *(f"{v['wall_seconds'] / v['counts']['stream_seconds']:.3f}" for v in variants.values()),
                f"{ours['wall_seconds'] / ours['stream_seconds']:.3f}",
            ],
            ["GB-seconds of functions", *(f"{e['gb_seconds']:.3f}" for e in each), ""],
            ["invocations", *(f"{e['invocations']:.2f}" for e in each), ""],
            ["state transitions", *(f"{e['state_transitions']:.2f}" for e in each), "0"],
            ["object store: PUT", *(f"{e['object_puts']:.1f}" for e in each), "0"],
            ["object store: GET", *(f"{e['object_gets']:.1f}" for e in each), "0"],
            ["MB through the object store", *(f"{e['object_bytes'] / 1e6:.1f}" for e in each), "0"],
            ["kB of messages and state", *(f"{e['message_bytes'] / 1e3:.1f}" for e in each), ""],
            ["CPU seconds of the state machine (not charged)",
             *(f"{e['state_machine_cpu_seconds']:.3f}" for e in each), ""],
            ["CPU seconds of the object store (not charged)",
             *(f"{e['object_store_cpu_seconds']:.3f}" for e in each), ""],
        ],
    )  # fmt: skip
    of_all = list(variants.values())
    yield table(
        ["", *variants],
        [
            ["seconds of a stream that an execution judges", *(v["segment_seconds"] for v in of_all)],
            ["$ per stream-hour", *(f"{v['cost']['per_stream_hour']:.3f}" for v in of_all)],
            ["share of orchestration", *(f"{v['cost']['shares']['orchestration']:.0%}" for v in of_all)],
            ["share of handoff", *(f"{v['cost']['shares']['handoff']:.0%}" for v in of_all)],
            ["share of compute", *(f"{v['cost']['shares']['compute']:.0%}" for v in of_all)],
            ["avjury's cost over it", *(f"{v['cost_ratio']:.2%}" for v in of_all)],
            ["... if transitions and requests were free",
             *(f"{v['cost_ratio_if_free']['both']:.1%}" for v in of_all)],
            ["$ per stream-hour by express workflows",
             *(f"{v['cost']['per_stream_hour_by_express_workflows']:.3f}" for v in of_all)],
            ["... avjury's cost over it", *(f"{v['cost_ratio_by_express_workflows']:.1%}" for v in of_all)],
            ["avjury's CPU time over it", *(f"{v['cpu_ratio']:.1%}" for v in of_all)],
            ["$ per stream-hour if waiting were charged",
             *(f"{v['cost']['per_stream_hour_if_waiting_were_charged']:.2f}" for v in of_all)],
            ["streams at which default limits of an account stop it",
             *(f"{v['limits']['at_streams']} ({v['limits']['first'].replace('_', ' ')})" for v in of_all)],
            *([f"a thousand streams need: {what.replace('_', ' ')}",
               *(f"{v['limits']['needs_of_1000_streams'][what]:,.0f}" for v in of_all)]
              for what in of_all[0]["limits"]["needs_of_1000_streams"]),
            ["incidents found by both / only avjury / only the chain",
             *(f"{v['agreement']['in_both']} / {len(v['agreement']['only_avjury'])} / "
               f"{len(v['agreement']['only_chain'])}" for v in of_all)],
            ["... of those in both, with the same times to the last bit",
             *(v["agreement"]["exact_to_the_last_bit"] for v in of_all)],
        ],
    )  # fmt: skip
    yield bars(
        f"A stream-hour of avjury on one whole {ours['instance']} that judges only so many streams",
        [(f"{r['streams']} stream{'s' if r['streams'] > 1 else ''}", {"": r["per_stream_hour"]})
         for r in ours["by_streams_on_one_instance"]],
        "$",
    )  # fmt: skip
    live = ours["as_the_live_service"]
    if live and live["per_stream_hour"]:
        yield (
            f"<p>As the live service, by its own record ({escape(live['record'])}): {live['streams']} channels of "
            f"1080p25 on that instance, {live['per_stream_hour']:.4f} $ per stream-hour.</p>"
        )
    yield "<p>Assumptions:</p><ul>" + "".join(f"<li>{escape(a)}</li>" for a in figures["assumptions"]) + "</ul>"


def _cpu(figures: Mapping[str, Any]) -> Parts:
    clips = figures["clips"]
    yield bars(
        "Judged over decoded only, one stream",
        [(c["clip"], {"": c["judged_over_decode_only"]["p50"]}) for c in clips],
        "",
        goal=GOAL_ONE_STREAM,
    )
    yield table(
        ["clip", "one stream", "one per core", "speed over ffmpeg"],
        [
            [c["clip"], f"{c['judged_over_decode_only']['p50']:.2f}",
             f"{c['judged_over_decode_only_every_core']['p50']:.2f}",
             f"{c['speed_over_ffmpeg']['p50']:.1f}" if "speed_over_ffmpeg" in c else ""]
            for c in clips
        ],
    )  # fmt: skip


def _ffmpeg(figures: Mapping[str, Any]) -> Parts:
    sides = {"avjury": "avjury", "ffmpeg_full_size": "ffmpeg, full size", "ffmpeg_360p": "ffmpeg, scaled to 360p"}
    for clip in figures["clips"]:
        rows = [(title, {"": clip[f"{side}_frames_per_second"]["p50"]}) for side, title in sides.items()]
        yield bars(f"Pictures per second: {clip['clip']}", rows, "")
    yield table(
        ["clip", "avjury over ffmpeg at full size", "over ffmpeg at 360p"],
        [
            [c["clip"], f"{c['speed_over_ffmpeg_full_size']['p50']:.1f}", f"{c['speed_over_ffmpeg_360p']['p50']:.1f}"]
            for c in figures["clips"]
        ],
    )


def _scale(figures: Mapping[str, Any]) -> Parts:
    sizes = {size: of for size, of in figures.items() if isinstance(of, Mapping) and of.get("rows")}
    for what, title, unit in (
        ("cores_per_channel", "Cores per channel", "cores"),
        ("cores_per_channel_above_idle", "Cores per channel, without those of the idle service", "cores"),
        ("mb_per_channel", "Memory of the service, per channel", "MB"),
        ("mb_for_each_more", "Memory for each more channel", "MB"),
        ("dollars_per_stream_hour_of_used_cores", "Dollars per stream-hour, of the cores that are used", "$"),
    ):
        series = {
            size: [(row["channels"], row[what]) for row in of["rows"] if row[what] is not None]
            for size, of in sizes.items()
        }
        yield lines_over(title, series, "channels", unit)
    yield table(
        ["size", "sustained", "ended by", "$ per stream-hour", "cores per channel, last over first"],
        [
            [size, of["channels"], of["ended_by"], of["dollars_per_stream_hour_of_the_instance"],
             of["cores_per_channel_last_over_first"]]
            for size, of in sizes.items()
        ],
    )  # fmt: skip


def _service(figures: Mapping[str, Any]) -> Parts:
    sizes = {size: of for size, of in figures.items() if isinstance(of, Mapping) and "sustained" in of}
    series = {
        size: [(s["channels"], s["cores_busy"]) for s in of["sustained"]["steps"] if s["channels"]]
        for size, of in sizes.items()
    }
    yield lines_over("Cores busy by channels", series, "channels", "cores")
    yield table(
        ["size", "sustained channels", "load", "median s", "p99 s"],
        [
            [
                size,
                of["sustained"]["channels"],
                load,
                *((f"{seen['seconds'][q]:.2f}" for q in ("p50", "p99")) if "seconds" in seen else (seen["failed"], "")),
            ]
            for size, of in sizes.items()
            for load, seen in of["latency"].items()
        ],
    )


def _latency(figures: Mapping[str, Any]) -> Parts:
    yield table(
        ["channels", "load of the machine", "defects", "missed", "median s", "p99 s", "longest s"],
        [
            [
                r["channels"],
                r.get("load", ""),
                r["defects"],
                r["missed"],
                *(f"{r['seconds'][q]:.2f}" for q in ("p50", "p99", "max")),
            ]
            if "seconds" in r
            else [r["channels"], "", r["failed"], "", "", "", ""]
            for r in figures["rows"]
        ],
    )


def _kernels(figures: Mapping[str, Any]) -> Parts:
    rows = [
        (name, {"": of["ms"]["p50"]})
        for name, of in figures["kernels"].items()
        if isinstance(of, Mapping) and "ms" in of
    ]
    if rows:
        yield bars("Kernels on one core, a 1080p picture or 100 ms of sound", rows, "ms")
    video = figures.get("detectors", {}).get("video", {})
    costs = [(name, {"": max(0.0, of["p50"])}) for name, of in video.items() if isinstance(of, Mapping)]
    if costs:
        yield bars("Detectors of pictures on one core, on top of what every stream pays", costs, "ms a picture", 2)


def _cycles(figures: Mapping[str, Any]) -> Parts:
    rows = figures["cycles"]["rows"]
    series: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for name, mb in row.get("mb_by_process", {"all": row["resident_mb"]}).items():
            series.setdefault(name, []).append((row["cycles"], mb))
    yield lines_over("Memory by process, while a channel is added and taken out", series, "times", "MB")


def _soak(figures: Mapping[str, Any]) -> Parts:
    rows = figures["soak"]["rows"]
    memory = {"service": [(row["minutes"], row["resident_mb"]) for row in rows]}
    yield lines_over("Memory of the service among faulty sources", memory, "minutes", "MB")
    running = {"healthy": [(row["minutes"], row["healthy_running"]) for row in rows]}
    yield lines_over("Healthy channels that run", running, "minutes", "channels")


def _kills(figures: Mapping[str, Any]) -> Parts:
    yield table(
        ["kills", "incidents", "lost", "there twice", "webhooks", "s until ready again (median)"],
        [[figures["kills"], figures["incidents"], figures["lost"], figures["doubled"], figures["webhooks"],
          f"{figures['seconds_to_ready']['p50']:.0f}"]],
    )  # fmt: skip


def _memory(figures: Mapping[str, Any]) -> Parts:
    mb = figures["memory"]["mb_above_imports_per_five_minutes"]
    points = [(5.0 * index, each) for index, each in enumerate(mb)]
    yield lines_over("Memory above what the imports take", {"1080p25": points}, "minutes of media", "MB")


def _side(figures: Mapping[str, Any]) -> Parts:
    verdicts = figures["verdicts"]
    yield table(
        [f"verdicts, {verdicts['rows']:,} rows", ""],
        [*([f"bytes a row: {name}", each] for name, each in verdicts["bytes_a_row"].items()),
         ["CPU seconds of merging", verdicts["merging_cpu_seconds"]],
         *([f"CPU seconds of asking: {name}", f"{of['p50']:.2f}"]
           for name, of in verdicts["question_cpu_seconds"].items())],
    )  # fmt: skip
    yield table(
        ["artifact network, size", "CPU seconds of a stream-second", "without it", "share"],
        [[one["size"], one["cpu_seconds_per_stream_second"], one["without"], f"{one['share']:.0%}"]
         for one in figures.get("network", ())],
    )  # fmt: skip


def _start(figures: Mapping[str, Any]) -> Parts:
    yield table(
        ["command", "s (median)", "CPU s (median)"],
        [[name, f"{row['seconds']['p50']:.2f}", f"{row['cpu_seconds']['p50']:.2f}"]
         for name, row in figures["commands"].items()],
    )  # fmt: skip


# By the part of benchmarks/measured_page.py.
SECTIONS: Final[Mapping[str, Callable[[Mapping[str, Any]], Parts]]] = {
    "chain": _chain, "cpu": _cpu, "ffmpeg": _ffmpeg, "kernels": _kernels, "service": _service, "small": _service,
    "scale": _scale, "latency": _latency, "cycles": _cycles, "soak": _soak, "kills": _kills, "memory": _memory,
    "side": _side, "start": _start,
}  # fmt: skip
