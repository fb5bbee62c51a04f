"""The parts of docs/benchmarks.md: what the records of each benchmark say, in words and tables.

Every figure is taken from a record, and whether a goal holds is told by comparing with it; only goals are written here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Record = Mapping[str, Any]
Lines = Iterator[str]

GOAL_ONE_STREAM: Final = 0.85
GOAL_SMALL: Final = 0.8
GOAL_OVER_FFMPEG: Final = 10.0
GOAL_COST_RATIO: Final = 0.05
GOAL_LATENCY_SECONDS: Final = 0.5
GOAL_KILLS: Final = 200
GOAL_START_SECONDS: Final = 2.0
LARGE_SIDE: Final = "1080"


def machine(record: Record) -> str:
    """Where and when a record was made."""
    around = record["environment"]
    gpu = f", {around['gpu']}" if around["gpu"] else ""
    return f"{around['cpu']}, {around['cores']} cores{gpu}, load {around['load']:g} at its end ({record['file']})"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Lines:
    """As Markdown."""
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(str(cell) for cell in row) + " |"
    yield ""


def judged(holds: bool) -> str:
    """Whether a goal is reached."""
    return "reached" if holds else "missed"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "none"


def cpu(record: Record) -> Lines:
    """`bench cpu`, speed."""
    clips = record["figures"]["clips"]
    turns = record.get("samples", {}).get("samples_of_a_quantile", {}).get("fewest")
    with_networks = "judged_with_networks_over_decode_only"
    yield f"Medians{f' of {turns} turns' if turns else ''}, every detector on; {machine(record)}."
    yield ""
    yield from table(
        ["clip", "judged / decoded only, one stream", "the same with the networks", "one stream per core",
         "speed over ffmpeg",
         "with one decoder thread", "ffmpeg's CPU time over ours"],
        [
            [c["clip"], f"{c['judged_over_decode_only']['p50']:.2f}",
             f"{c[with_networks]['p50']:.2f}" if with_networks in c else "",
             f"{c['judged_over_decode_only_every_core']['p50']:.2f}",
             *(f"{c[name]['p50']:.1f}" if name in c else "" for name in (
                 "speed_over_ffmpeg", "speed_over_ffmpeg_one_decode_thread", "ffmpeg_cpu_over_judged_cpu"))]
            for c in clips
        ],
    )  # fmt: skip
    large = [c for c in clips if LARGE_SIDE in c["clip"]]
    small = [c for c in clips if c not in large]

    def below(some: Sequence[Mapping[str, Any]], name: str, goal: float) -> list[str]:
        return [c["clip"] for c in some if name in c and c[name]["p50"] < goal]

    missed = below(large, "judged_over_decode_only", GOAL_ONE_STREAM)
    yield (
        "- *Judged / decoded only*: frames per second with every detector, over the same source and decoder alone, one "
        "  decoder thread each. With one stream, judging runs beside decoding on another core; with one "
        "per core it takes "
        f"  its time from decoding. The goal of {GOAL_ONE_STREAM:g} for one stream of 1080 lines is missed by: "
        f"{_listed(missed)};"
    )
    per_core = below(large, "judged_over_decode_only_every_core", GOAL_ONE_STREAM)
    yield (
        f"  with one stream per core by {len(per_core)} of {len(large)}. Goal of {GOAL_SMALL:g} for the "
        "others, missed by:"
    )
    yield f"  {_listed(below(small, 'judged_over_decode_only', GOAL_SMALL))}."
    slow = below(clips, "speed_over_ffmpeg", GOAL_OVER_FFMPEG)
    yield (
        "- *ffmpeg*: freezedetect, blackdetect, blockdetect, blurdetect, signalstats, silencedetect and "
        "ebur128 with true "
        "  peak in one chain, using all cores; it has fewer of the defects. avjury decodes on all cores there too "
        f"  (`--decode-threads 0`). The goal of {GOAL_OVER_FFMPEG:g} times faster is missed by: {_listed(slow)}."
    )
    yield (
        "- What is left above the kernels is Python between them, once per picture; docs/decisions/0001 says why one "
        "  picture of a stream is judged at a time, 0046 how the pictures of a file are handed over."
    )
    yield ""


def ffmpeg(record: Record) -> Lines:
    """`bench ffmpeg`."""
    figures = record["figures"]
    clips = figures["clips"]
    yield f"{figures['ffmpeg'].partition(' Copyright')[0]}, every core for each side, in turns; {machine(record)}."
    yield ""
    sides = ("avjury", "ffmpeg_full_size", "ffmpeg_360p")
    yield from table(
        ["clip", *(f"{side}: pictures/s" for side in ("avjury", "ffmpeg", "ffmpeg at 360p")),
         *(f"{side}: ms of CPU a picture" for side in ("avjury", "ffmpeg", "ffmpeg at 360p")),
         "avjury over ffmpeg", "over ffmpeg at 360p"],
        [
            [c["clip"], *(f"{c[f'{side}_frames_per_second']['p50']:.0f}" for side in sides),
             *(f"{c[f'{side}_cpu_ms_per_frame']['p50']:.1f}" for side in sides),
             f"{c['speed_over_ffmpeg_full_size']['p50']:.1f}", f"{c['speed_over_ffmpeg_360p']['p50']:.1f}"]
            for c in clips
        ],
    )  # fmt: skip
    yield (
        f"Filters: `{figures['filters'][0]}`, with sound `{figures['filters'][2]}`; scaled: "
        "`scale=640:360` before them."
    )
    yield "avjury judges at full size in all of these, with every detector."
    yield ""


def kernels(record: Record) -> Lines:
    """`bench kernels-cpu`."""
    figures = record["figures"]
    rows = [(name, of) for name, of in figures["kernels"].items() if isinstance(of, Mapping) and "ms" in of]
    yield f"On a made picture ({figures['picture']}) and on {figures['sound']}, one core; {machine(record)}."
    yield ""
    yield from table(
        ["kernel", "ms", "over a copy of both luma planes", "runs per second of 1080p25"],
        [[name if of["per_second"] is None else f"`{name}`", f"{of['ms']['p50']:.3f}", f"{of['over_copy']['p50']:.2f}",
          "" if of["per_second"] is None else f"{of['per_second']:g}"] for name, of in rows],
    )  # fmt: skip
    yield (
        "`fields` runs on interlaced streams only. Together they take "
        f"{figures['share_of_a_core_for_1080p25']:.1%} of a "
        "core for one 1080p25 stream on which nothing changes, `fields` included. The limit is memory: a "
        "picture and the "
        "one before it read once."
    )
    costs = figures.get("detectors")
    if costs:
        video, audio = costs["video"], costs["audio"]
        yield (
            f"With its parts around the kernels, a picture costs {video['every stream']['p50']:.2f} ms "
            "where no detector "
            "of the picture needs more than every stream is measured for, and "
            f"{video['all detectors']['p50']:.2f} ms more with all of them; a second of stereo sound "
            f"{audio['every stream']['p50']:.2f} ms, and {audio['all detectors']['p50']:.2f} ms more. A detector that "
            "nobody enabled costs nothing (tests/engine/test_measure_costs.py). Each detector's own "
            "cost: docs/detectors.md."
        )
    yield ""


def service(record: Record) -> Lines:
    """`bench service`, how many are sustained and how soon it is told."""
    figures = record["figures"]
    sizes = {size: of for size, of in figures.items() if isinstance(of, Mapping) and "sustained" in of}
    yield (f"Channels over HTTP at their own pace, every detector on, the sender on the same cores; {machine(record)}.")
    if "incomplete" in figures:
        yield f"Of that run, {figures['incomplete']}."
    yield ""
    rows = []
    for size, of in sizes.items():
        sustained = of["sustained"]
        last = next(step for step in sustained["steps"] if step["channels"] == sustained["channels"])
        told = [
            f"{seen['seconds']['p50']:.2f}, {seen['seconds']['p99']:.2f}" if "seconds" in seen else seen["failed"]
            for seen in of["latency"].values()
        ]
        rows.append([size, sustained["channels"], f"{last['cores_busy']:.2f}", f"{sustained['mb_per_channel']:.0f}",
                     " / ".join(told)])  # fmt: skip
    yield from table(
        ["channels of 25 pictures a second", "sustained", "cores busy then", "MB for each more",
         "latency at 50 / 90 % of these: median, p99 (s)"],
        rows,
    )  # fmt: skip
    seen = [one for of in sizes.values() for one in of["latency"].values() if "seconds" in one]
    failed = len(seen) < sum(len(of["latency"]) for of in sizes.values())
    longest = max((one["seconds"]["p99"] for one in seen), default=0.0)
    yield (
        "- *Sustained*: channels that are judged picture by picture and less than a second late. With "
        "the next ones the "
        "  service judges less often, and says so. It does so before the cores are full, as its load is a share of one "
        "loop."
    )
    yield (
        "- *Latency*: from the moment at which the picture was sent that makes a black picture last for "
        "its set duration, "
        f"  to the webhook's arrival. The goal is a p99 of {GOAL_LATENCY_SECONDS:g} s: "
        f"{judged(longest <= GOAL_LATENCY_SECONDS)}{' where it was measured' if failed else ''}. Of "
        f"{sum(one['defects'] for one in seen)} planted defects {sum(one['missed'] for one in seen)} were missed."
    )
    yield "- Of the memory, up to 16 MiB per channel are compressed media held for clips (`storage.ring_bytes`)."
    yield ""


def small_pictures(record: Record) -> Lines:
    """`bench service`, 360p: how soon it is told at half and at nine tenths of what is sustained."""
    of = record["figures"]["360p"]
    yield (
        f"Channels of 360p; {of['sustained']['channels']} were sustained beside what else ran on these cores, of "
        f"{of['decode_only_channels']:g} that they decode and do nothing else with; {machine(record)}."
    )
    yield ""
    told = [(share, one) for share, one in of["latency"].items() if "seconds" in one]
    yield from table(
        ["load", "channels", "defects", "missed", "median s", "p99 s", "longest s"],
        [
            [share, one["channels"], one["defects"], one["missed"], *(f"{one['seconds'][at]:.2f}"
             for at in ("p50", "p99", "max"))]
            for share, one in told
        ],
    )  # fmt: skip
    met = all(one["seconds"]["p99"] <= GOAL_LATENCY_SECONDS and not one["missed"] for _, one in told)
    yield f"The goal is a p99 of {GOAL_LATENCY_SECONDS:g} s with none missed: {judged(met)}."
    yield ""


def cycles(record: Record) -> Lines:
    """`bench service`, channels that come and go."""
    of = record["figures"]["cycles"]
    first, last = of["rows"][0], of["rows"][-1]
    yield (
        f"A channel was added and taken out again {of['cycles']} times in {of['seconds']:.0f} s; {machine(record)}. "
        f"From the {first['cycles']}th to the {last['cycles']}th time the service grew from "
        f"{first['resident_mb']:.0f} to "
        f"{last['resident_mb']:.0f} MB, {of['mb_per_1000_cycles_second_half']:g} MB per 1000 times in the second half; "
        f"{of['handles_grown']:+.0f} handles, {of['threads_grown']:+.0f} threads."
    )
    if "mb_by_process" in first:
        by = [
            f"{name} {mb:g} to {last['mb_by_process'].get(name, 0.0):g}" for name, mb in first["mb_by_process"].items()
        ]
        yield f"By process, MB: {', '.join(by)}."
    yield ""


def soak(record: Record) -> Lines:
    """`bench service`, healthy channels among faulty sources."""
    of = record["figures"]["soak"]
    rows = of["rows"]
    loads = [row["load"] for row in rows]
    flapping = "come and go, are corrupt, " if "flaps" in of["faulty"] else ""
    yield (
        f"{of['seconds'] / 60:.0f} minutes, {of['healthy']} healthy channels among {len(of['faulty'])} sources that "
        f"refuse, are not there, are no media, send garbage, send nothing, {flapping}or end at once; "
        f"{machine(record)}, load {min(loads):g} to {max(loads):g} meanwhile."
    )
    # Records of before 29 November, 11 h, count what faulty channels send too.
    beside = ", those of faulty ones counted with them" if of["black_found"] > of["black_sent_about"] else ""
    yield (
        f"Of the healthy channels' pictures at least {of['least_judged_share']:.1%} were judged, "
        f"{of['black_found']} of about {of['black_sent_about']} black pictures found{beside}, and at the worst moment "
        f"{of['least_healthy_running']} of them ran. Memory: {rows[0]['resident_mb']:.0f} MB at first, "
        f"{rows[len(rows) // 2]['resident_mb']:.0f} MB in the middle, {rows[-1]['resident_mb']:.0f} MB at the end; "
        f"{min(row['handles'] for row in rows):.0f} to {max(row['handles'] for row in rows):.0f} handles, "
        f"{min(row['threads'] for row in rows):.0f} to {max(row['threads'] for row in rows):.0f} threads."
    )
    yield ""


def kills(record: Record) -> Lines:
    """`bench kills`."""
    of = record["figures"]
    yield (
        "The service judges channels over HTTP that are black again and again, and gets SIGKILL at a "
        "random moment, again "
        f"and again, on the same data; {machine(record)}. Counted against what was sent, what the API had "
        "shown and what "
        f"the webhook's receiver has: {of['kills']} kills, {of['kills_before_ready']} of them before it was ready and "
        f"{of['kills_with_open_incidents']} with incidents open; of {of['incidents']} incidents and the "
        f"{of['black_pictures_due']} black pictures that had to be known {of['lost']} were lost and "
        f"{of['doubled']} were "
        f"there twice; {of['webhooks']} webhooks. The goal is {GOAL_KILLS} kills without a loss: "
        f"{judged(of['kills'] >= GOAL_KILLS and not of['lost'] and not of['doubled'])}. Being ready again took "
        f"{of['seconds_to_ready']['p50']:.0f} s (median)."
    )
    yield ""


def memory(record: Record) -> Lines:
    """`bench cpu`, memory."""
    of = record["figures"]["memory"]
    yield (
        f"Over {of['media_seconds'] / 60:.0f} minutes of 1080p25 with every detector at most "
        f"{of['largest_mb_above_imports']:g} MB above what the imports take ({of['imports_mb']:g}), "
        f"{of['growth_mb_per_hour_second_half']:g} MB per hour over the second half; {machine(record)}."
    )
    yield ""


def scale(record: Record) -> Lines:
    """`bench scale`."""
    figures = record["figures"]
    sizes = {size: of for size, of in figures.items() if isinstance(of, Mapping) and of.get("rows")}
    yield (
        "The live service with one channel, then more, until real time is lost; priced as "
        f"{figures['instance']}, a core "
        f"as a vCPU; {machine(record)}."
    )
    yield ""
    for size, of in sizes.items():
        yield from table(
            [f"channels, {size}", "cores per channel", "without the idle service's", "MB per channel",
             "MB for each more", "$ per stream-hour of what is used", "$ if the instance held no more"],
            [[row["channels"], f"{row['cores_per_channel']:.3f}", f"{row['cores_per_channel_above_idle']:.3f}",
              f"{row['mb_per_channel']:.0f}",
              "" if row["mb_for_each_more"] is None else f"{row['mb_for_each_more']:.0f}",
              f"{row['dollars_per_stream_hour_of_used_cores']:.4f}",
              f"{row['dollars_per_stream_hour_if_the_instance_held_no_more']:.4f}"] for row in of["rows"]],
        )  # fmt: skip
        idle = of["idle"]
        yield (
            f"{size}: {of['channels']} channels are sustained (ended by: {of['ended_by']}). A channel of "
            "the most over the "
            f"only one: {of['cores_per_channel_last_over_first']:.2f} of the cores, "
            f"{of['mb_per_channel_last_over_first']:.2f} of the memory. Idle, the service takes "
            f"{idle['cores_busy']:.3f} "
            f"cores and {idle['resident_mb']:.0f} MB."
        )
        yield ""


def latency(record: Record) -> Lines:
    """`bench latency`."""
    figures = record["figures"]
    yield (
        "From the picture that makes a defect last for its set duration to the webhook's arrival, channels of "
        f"{figures['size']}; {machine(record)}."
    )
    yield ""
    rows = [row for row in figures["rows"] if "failed" not in row]
    yield from table(
        ["channels", "load of the machine", "defects", "missed", "median s", "p99 s", "longest s"],
        [[r["channels"], r.get("load", ""), r["defects"], r["missed"],
          *(f"{r['seconds'][q]:.2f}" for q in ("p50", "p99", "max"))] for r in rows],
    )  # fmt: skip
    for row in figures["rows"]:
        if "failed" in row:
            yield f"With {row['channels']} channels: {row['failed']}."
    holds = all(r["seconds"]["p99"] <= GOAL_LATENCY_SECONDS and not r["missed"] for r in rows)
    yield f"The goal is a p99 of {GOAL_LATENCY_SECONDS:g} s with none missed: {judged(holds)}."
    yield ""


def side(record: Record) -> Lines:
    """`bench side-costs`."""
    of = record["figures"]["verdicts"]
    each = of["bytes_a_row"]
    yield (
        f"*Verdicts*: {of['rows']:,} made-up seconds of {of['streams']} streams, written and merged as "
        "the service does; "
        f"{machine(record)}. A row takes {each['log']:.0f} bytes in the log, {each['parts']:.1f} in parts and "
        f"{each['merged']:.1f} in the merged file. Writing takes "
        f"{of['writing_cpu_microseconds_a_row']:.0f} us of CPU a "
        f"row, merging {of['parts']} parts {of['merging_cpu_seconds']:.1f} s, a question over all of it "
        f"{of['question_cpu_seconds_least']:.2f} to {of['question_cpu_seconds_most']:.2f} s, a page of "
        "1,000 rows of one "
        f"stream {of['page_cpu_seconds']['p50']:.3f} s."
    )
    yield ""
    rows = record["figures"].get("network")
    if rows:
        yield "*The artifact network* at its usual rate, all detectors on:"
        yield ""
        yield from table(
            ["size", "CPU seconds for a second of a stream", "without the network", "share", "one map, CPU s"],
            [[one["size"], f"{one['cpu_seconds_per_stream_second']:.3f}", f"{one['without']:.3f}",
              f"{one['share']:.0%}", f"{one['map_cpu_seconds']:.3f}"] for one in rows],
        )  # fmt: skip
    heard = record["figures"].get("audio_network")
    if heard:
        window, rate = heard["window_cpu_seconds"], heard["windows_per_second"]
        yield (
            f"*The audio network*: a window of two seconds takes {1000 * window['p50']:.1f} ms of CPU (median of "
            f"{window['n']}). Judging a second of stereo sound without pictures, all detectors on, takes "
            f"{1000 * heard['cpu_seconds_per_stream_second']:.1f} ms with it at its usual rate of {rate:g} windows a "
            f"second, and {1000 * heard['without']:.1f} ms without."
        )
        yield ""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the page.

    Args:
        title: its heading.
        command: what makes its record.
        name: of the benchmark, as records are called.
        needs: ways into the figures that its record has to have.
        write: its lines.
    """

    title: str
    command: str
    name: str
    needs: tuple[str, ...]
    write: Callable[[Record], Lines]


def start(record: Record) -> Lines:
    """`bench start`."""
    of = record["figures"]
    commands = of["commands"]
    check = commands["avjury check"]["seconds"]
    yield (
        "From the start of the command to its end, kernels cached; `check` is of one second of media, so that judging "
        f"it and the end count too; load {of['load_before']:g} before; {machine(record)}."
    )
    yield ""
    yield from table(
        ["command", "s (median)", "20th to 80th percentile", "CPU s (median)", "turns"],
        [
            [f"`{name}`", f"{row['seconds']['p50']:.2f}", f"{row['seconds']['p20']:.2f} to {row['seconds']['p80']:.2f}",
             f"{row['cpu_seconds']['p50']:.2f}", row["seconds"]["n"]]
            for name, row in commands.items()
        ],
    )  # fmt: skip
    yield f"The goal is {GOAL_START_SECONDS:g} s: {judged(check['p50'] < GOAL_START_SECONDS)}."
    yield ""
