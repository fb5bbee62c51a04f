"""The commands. Records go to stdout; progress, log and errors to stderr; the exit code says what was found.

Run by: the user's main thread, which owns the signal handlers. Torch, the kernels and the decoders are imported only
by the command that needs them, so that `--help` and a mistyped option are answered at once.
"""

import errno
import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from engine.cli_examples import epilog
from engine.errors import AvjuryError, ConfigError, PipeClosed
from engine.exit_codes import CLEAN, INCIDENTS, INTERRUPTED, PIPE_CLOSED, USAGE
from engine.output import complain, printable
from engine.startup import leave

# A disk that fills up while it is written to.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

app = typer.Typer(
    name="avjury",
    help="Judges audio/video streams: which one is broken, how, since when, and how badly.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


class Format(StrEnum):
    """How records are written."""

    TABLE = "table"
    JSONL = "jsonl"
    JSON = "json"


class AnswerFormat(StrEnum):
    """How an answer is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class FailOn(StrEnum):
    """The least severity that makes the exit code 1."""

    WARNING = "warning"
    CRITICAL = "critical"
    NEVER = "never"


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"avjury {version('avjury')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    pass


@app.command(epilog=epilog("check"))
def check(
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="INPUT...", help="Files or live URLs; else the streams of --config.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", metavar="F", help="YAML configuration.")] = None,
    detectors: Annotated[
        str | None,
        typer.Option(
            "--detectors", metavar="LIST", help="Only these: video.freeze,audio.* ; with a minus, all but: -video.blur"
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            metavar="NAME",
            help="live-ott, broadcast, broadcast-us, file-qc, surveillance, or a config's own.",
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", metavar="auto|cpu|cuda|cuda:N", help="Where to judge. [default: auto]")
    ] = None,
    format: Annotated[Format, typer.Option("--format", help="How records are written.")] = Format.TABLE,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="F", help="Write records to this file, not to stdout.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report", metavar="F.html", help="Also write one self-contained HTML page; F.json: the same as JSON."
        ),
    ] = None,
    evidence: Annotated[
        Path | None,
        typer.Option(
            "--evidence", metavar="DIR", help="Also write a clip, a picture and the measure of each incident."
        ),
    ] = None,
    fail_on: Annotated[
        FailOn, typer.Option("--fail-on", help="Exit with 1 if there is an incident at or above this severity.")
    ] = FailOn.CRITICAL,
    realtime: Annotated[bool, typer.Option("--realtime", help="Read files at the pace of their clock.")] = False,
    rendition: Annotated[
        str, typer.Option("--rendition", metavar="best|worst|HEIGHT", help="Which variant of a playlist is judged.")
    ] = "best",
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            metavar="INPUT",
            help="One of the inputs: the others are compared with it, as streams of the same programme, for lip sync, "
            "latency and content.",
        ),
    ] = None,
    decode_threads: Annotated[
        int | None,
        typer.Option(
            "--decode-threads",
            metavar="N",
            min=0,
            max=64,
            help="Of a software decoder; 0 takes all cores: faster for one long file, but damage may fall differently "
            "from run to run. [default: 1]",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option("--weights", metavar="F.safetensors", help="Weights of your own for the artifact network."),
    ] = None,
) -> None:
    """Judge files or live URLs."""
    from engine.check_command import CheckOptions, judge_inputs

    raise typer.Exit(
        judge_inputs(
            CheckOptions(
                inputs=inputs or [],
                config=config,
                detectors=detectors,
                profile=profile,
                device=device,
                format=format,
                output=output,
                report=report,
                evidence=evidence,
                fail_on=fail_on,
                realtime=realtime,
                rendition=rendition,
                decode_threads=decode_threads,
                reference=reference,
                weights=weights,
            )
        )
    )


@app.command(epilog=epilog("detectors"))
def detectors(
    format: Annotated[Format, typer.Option("--format", help="How the list is written.")] = Format.TABLE,
) -> None:
    """List the detectors with their parameters and defaults."""
    from engine.detectors_table import print_detectors

    print_detectors(format.value, sys.stdout)


@app.command(epilog=epilog("slate"))
def slate(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Images, or clips that begin with a slate.")],
) -> None:
    """Print the hash of each image, as a configuration's `slates` takes it."""
    import json

    from engine.slate_images import read_slate

    typer.echo("slates:")
    for image in images:
        found = read_slate(image.stem, image)
        typer.echo(f"  {json.dumps(found.name)}:\n    hash: {found.text}")


@app.command(epilog=epilog("doctor"))
def doctor(
    format: Annotated[Format, typer.Option("--format", help="How the findings are written.")] = Format.TABLE,
) -> None:
    """Say what this machine can do (GPU, NVDEC, codecs, libraries) and what would fall back."""
    from engine.doctor import main as examine

    raise typer.Exit(examine(format))


notify = typer.Typer(no_args_is_help=True, help="Notifications.")
app.add_typer(notify, name="notify")


@notify.command("test", epilog=epilog("notify test"))
def notify_test(
    sinks: Annotated[
        list[str] | None, typer.Argument(metavar="[SINK]...", help="Names of sinks; all of --config unless named.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", metavar="F", help="YAML configuration.")] = None,
) -> None:
    """Send a message that is marked as a test through each sink, and say what came back."""
    from engine.configured import load_config
    from engine.notify.command import send_tests

    raise typer.Exit(send_tests(load_config(config)[0].notify, sinks or [], sys.stdout))


@app.command(epilog=epilog("query"))
def query(
    question: Annotated[
        str | None, typer.Argument(metavar="QUESTION", help="availability, worst, incidents or gaps.")
    ] = None,
    sql: Annotated[str | None, typer.Option("--sql", metavar="SQL", help="A query over the view `seconds`.")] = None,
    config: Annotated[Path | None, typer.Option("--config", metavar="F", help="The service's configuration.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="DIR", help="The service's data folder. [default: of --config, else avjury-data]"
        ),
    ] = None,
    verdicts: Annotated[
        str | None, typer.Option("--verdicts", metavar="PLACE", help="Directory, s3://, gs:// or az:// URL instead.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="2026-11-27, 2026-11-27T22:00, or how long ago: 6h, 7d."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="The same; a date alone is included.")
    ] = None,
    stream: Annotated[
        list[str] | None, typer.Option("--stream", metavar="ID", help="Only this stream; may be repeated.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Most rows.")] = None,
    format: Annotated[AnswerFormat, typer.Option("--format", help="How the answer is written.")] = AnswerFormat.TABLE,
) -> None:
    """Ask what was judged: availability, worst streams, when which detector was open, what was not seen."""
    from engine.configured import load_config
    from engine.query_command import answer, open_reader, write_answer

    loaded = load_config(config)[0]
    storage = loaded.storage
    reader = open_reader(verdicts or storage.verdicts, data or Path(loaded.service.data), storage.options)
    write_answer(answer(reader, question, sql, since, until, stream or [], limit), format.value, sys.stdout)


@app.command(epilog=epilog("demo"))
def demo(
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="Where the clip and the report are written.")
    ] = Path("demo-out"),
    device: Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda|cuda:N", help="Where to judge.")] = "auto",
) -> None:
    """Make a clip with planted defects, judge it, and compare."""
    from engine.demo import run_demo

    raise typer.Exit(CLEAN if run_demo(output, device) else INCIDENTS)


@app.command(epilog=epilog("selftest"))
def selftest(
    full: Annotated[
        bool, typer.Option("--full", help="Every defect that can be planted; else a few of each kind.")
    ] = False,
    device: Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda|cuda:N", help="Where to judge.")] = "auto",
    format: Annotated[Format, typer.Option("--format", help="How the results are written.")] = Format.TABLE,
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="DIR", help="Keep the clips there; else they are thrown away.")
    ] = None,
) -> None:
    """Make clips with known defects, judge them, and say what was found, what was missed, and how soon."""
    from engine.selftest.command import run_selftest

    raise typer.Exit(
        run_selftest(sys.stdout, full=full, device=device, format=format.value, keep=keep,
                     say=lambda text: typer.echo(text, err=True))
    )  # fmt: skip


@app.command(epilog=epilog("tune"))
def tune(
    inputs: Annotated[list[str], typer.Argument(metavar="FILE...", help="Recordings of content that is good.")],
    false_per_day: Annotated[
        float, typer.Option("--false-per-day", metavar="N", min=0.001, help="False alarms that a detector may have.")
    ] = 1.0,
    config: Annotated[Path | None, typer.Option("--config", metavar="F", help="YAML configuration.")] = None,
    profile: Annotated[str | None, typer.Option("--profile", metavar="NAME", help="As for check.")] = None,
    detectors: Annotated[str | None, typer.Option("--detectors", metavar="LIST", help="As for check.")] = None,
    device: Annotated[
        str | None, typer.Option("--device", metavar="auto|cpu|cuda|cuda:N", help="Where to judge. [default: auto]")
    ] = None,
    planted: Annotated[
        int, typer.Option("--planted", min=0, max=100, help="Places at which a changed detector's defects are planted.")
    ] = 5,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="F.yaml", help="Write the proposals there, as configuration.")
    ] = None,
    format: Annotated[Format, typer.Option("--format", help="How the findings are written.")] = Format.TABLE,
) -> None:
    """Propose thresholds from recordings of good content, for a target of false alarms, with the evidence."""
    from engine.tune.command import run_tune

    raise typer.Exit(
        run_tune(inputs, sys.stdout, per_day=false_per_day, config=config, profile=profile, detectors=detectors,
                 device=device, output=output, format=format.value, planted=planted,
                 say=lambda text: typer.echo(text, err=True))
    )  # fmt: skip


@app.command(epilog=epilog("shadow"))
def shadow(
    config: Annotated[Path | None, typer.Option("--config", metavar="F", help="The service's configuration.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="DIR", help="The service's data folder. [default: of --config, else avjury-data]"
        ),
    ] = None,
    format: Annotated[Format, typer.Option("--format", help="How the answer is written.")] = Format.TABLE,
) -> None:
    """Say what the profile that a service tries beside the live one would change."""
    from engine.configured import load_config
    from engine.shadow_command import tell_shadow

    tell_shadow(data or Path(load_config(config)[0].service.data), sys.stdout, format.value)


@app.command(epilog=epilog("serve"))
def serve(
    config: Annotated[Path | None, typer.Option("--config", metavar="F", help="YAML configuration.")] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Folder of everything that is kept. [default: avjury-data]"),
    ] = None,
    listen: Annotated[
        str | None, typer.Option("--listen", metavar="HOST:PORT", help="Of API and metrics. [default: 127.0.0.1:8080]")
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Judge three channels made here, one of which misbehaves; for a first look.")
    ] = False,
) -> None:
    """Judge live streams for as long as it runs: API, metrics, notifications."""
    from engine.service.command import run as run_service

    run_service(config, data, listen, demo)


cluster = typer.Typer(no_args_is_help=True, help="Engines on many machines, on Ray.")
app.add_typer(cluster, name="cluster")
ClusterConfig = Annotated[Path, typer.Option("--config", metavar="F", help="YAML configuration.")]
EngineNames = Annotated[list[str] | None, typer.Argument(metavar="[ENGINE]...", help="Names of engines.")]
NodeId = Annotated[str | None, typer.Option("--node", metavar="ID", help="All engines of a node; the start will do.")]


@cluster.command("serve", epilog=epilog("cluster serve"))
def cluster_serve(
    config: ClusterConfig,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Folder of this process. [default: avjury-data]")
    ] = None,
    listen: Annotated[
        str | None, typer.Option("--listen", metavar="HOST:PORT", help="Of API and metrics. [default: 127.0.0.1:8080]")
    ] = None,
) -> None:
    """Start the engines that are not there yet, and serve API, page, metrics and notifications in front of them."""
    from engine.cluster.command import serve as serve_cluster

    serve_cluster(config, data, listen)


@cluster.command("status", epilog=epilog("cluster status"))
def cluster_status(
    config: ClusterConfig,
    format: Annotated[AnswerFormat, typer.Option("--format", help="How the answer is written.")] = AnswerFormat.TABLE,
) -> None:
    """Show the engines: where they are, how many streams they judge and can judge, and what binds."""
    from engine.cluster.command import status
    from engine.query_command import write_answer

    write_answer(status(config), format.value, sys.stdout)


@cluster.command("drain", epilog=epilog("cluster drain"))
def cluster_drain(
    config: ClusterConfig,
    engines: EngineNames = None,
    node: NodeId = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until no stream is judged there any more.")] = True,
) -> None:
    """Have the streams of engines judged by others, each one going on until another engine judges it."""
    from engine.cluster.command import drain

    drain(config, engines or [], node, wait=wait)


@cluster.command("undrain", epilog=epilog("cluster undrain"))
def cluster_undrain(config: ClusterConfig, engines: EngineNames = None, node: NodeId = None) -> None:
    """Let engines have streams again."""
    from engine.cluster.command import undrain

    undrain(config, engines or [], node)


@cluster.command("down", epilog=epilog("cluster down"))
def cluster_down(
    config: ClusterConfig,
    drain_seconds: Annotated[float, typer.Option("--drain-seconds", min=0.5, help="For each engine to finish.")] = 10.0,
) -> None:
    """End the coordinator and all engines, in order. Incidents that are open stay open."""
    from engine.cluster.command import down

    down(config, drain_seconds)


class Network(StrEnum):
    """What can be trained."""

    ARTIFACT = "artifact"
    HISTORY = "history"
    AUDIO = "audio"
    SYNC = "sync"


@app.command(epilog=epilog("train"))
def train(
    network: Annotated[Network, typer.Argument(metavar="NETWORK", help="Which: artifact, history, audio or sync.")],
    media: Annotated[Path, typer.Option("--media", metavar="DIR", help="Folder of clean clips.")],
    work: Annotated[
        Path, typer.Option("--work", metavar="DIR", help="Where pieces, state and curves are kept, to go on from.")
    ],
    weights: Annotated[Path, typer.Option("--weights", metavar="F.safetensors", help="What is written.")],
    minutes: Annotated[float, typer.Option("--minutes", min=0.01, help="Of training in all, over all starts.")] = 60.0,
    seed: Annotated[int, typer.Option("--seed", help="Of what is random.")] = 1,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Of the CPU.")] = 1,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", metavar="PREFIX", help="Clips that are left out; may be repeated.")
    ] = None,
    windows: Annotated[
        int | None, typer.Option("--windows", min=1, help="Parts of each clip. [default: 4; of sound 24]")
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="cpu|cuda", help="Where to train.")] = "cpu",
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="F.safetensors",
            help="Weights of the artifact network to begin with; for history, whose maps it reads.",
        ),
    ] = None,
) -> None:
    """Train a detector network on clips of your own, spoilt in many ways."""
    if weights.suffix != ".safetensors":
        raise ConfigError("cannot write weights", stream=str(weights), why="they are written as safetensors only",
                          remedy="name a file that ends in .safetensors")  # fmt: skip
    if start is not None and network not in (Network.ARTIFACT, Network.HISTORY):
        raise ConfigError("cannot start from weights", stream=str(start), why=f"{network.value} begins with none",
                          remedy="leave --from out")  # fmt: skip
    from engine.train_command import Training, run_training

    wanted = Training(
        network.value, media, work, weights, minutes, seed, threads, tuple(skip or ()), windows, device, start
    )
    typer.echo(run_training(wanted, lambda text: typer.echo(text, err=True)))


# No help option of its own: `avjury bench cpu --help` is the benchmark's to answer.
@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Which benchmark; none lists them.")] = None,
) -> None:
    """Run a benchmark of the harness; what follows NAME is handed to it."""
    from engine.bench_command import run_benchmark

    raise typer.Exit(run_benchmark(name, context.args))


@app.command("plan", add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def plan_command(context: typer.Context) -> None:
    """Streams per instance and cost per stream-hour, from recorded results; `avjury plan --help` tells its options."""
    from engine.bench_command import run_benchmark

    raise typer.Exit(run_benchmark("plan", context.args))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command `avjury`: run, and exit with the code of docs/output.md."""
    words = sys.argv[1:] if arguments is None else arguments
    code = run(words)
    if "torch" in sys.modules and words[:1] == ["check"]:
        leave(code)
    sys.exit(code)


def _write_no_more() -> None:
    """The interpreter flushes stdout once more at its end; let that go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(arguments: Sequence[str]) -> int:
    """Run a command.

    Returns: the exit code.
    """
    if sys.stdout is None:  # closed by whoever started us: records go nowhere
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
    command = typer.main.get_command(app)
    try:
        code = command.main(list(arguments), prog_name="avjury", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else CLEAN
    except AvjuryError as error:
        complain(error)
        return error.exit_code
    except TyperException as error:
        if message := error.format_message():
            print(f"avjury: {printable(message)} (see avjury --help)", file=sys.stderr)  # noqa: T201 - as above
        return USAGE
    except (BrokenPipeError, PipeClosed):
        _write_no_more()
        return PIPE_CLOSED
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        _write_no_more()
        why = error.strerror or str(error)
        complain(ConfigError("cannot write output", stream=error.filename or "", why=why, remedy="make room for it"))
        return USAGE
    except (KeyboardInterrupt, typer.Abort):
        print("avjury: interrupted", file=sys.stderr)  # noqa: T201 - as above
        return INTERRUPTED


if __name__ == "__main__":
    main()
