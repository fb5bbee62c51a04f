"""The commands. Records go to stdout; progress, log and errors to stderr; the exit code says what was found.

Run by: the user's main thread, which owns the signal handlers. Torch, the kernels and the decoders are imported only
by the command that needs them, so that `--help` and a mistyped option are answered at once.
"""

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING, Annotated, Any, Final, Literal

import typer
from typer.exceptions import TyperException

from engine.errors import AvjuryError, ConfigError
from engine.output import WRITERS, Writer, printable
from engine.verdicts import Incident, Severity, StreamSecond

if TYPE_CHECKING:
    from engine.evidence.folder import EvidenceFolder
    from engine.pipeline import Engine, Outcome, StreamSpec

CLEAN, INCIDENTS, USAGE, INPUT_FAILED = 0, 1, 2, 3
# What shells report for a program that its reader, or the user, ended.
PIPE_CLOSED: Final = 128 + signal.SIGPIPE
INTERRUPTED: Final = 128 + signal.SIGINT

app = typer.Typer(
    name="avjury",
    help="Judges audio/video streams: which one is broken, how, since when, and how badly.",
    no_args_is_help=True,
    add_completion=False,
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


@app.command()
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
            "--profile", metavar="NAME", help="live-ott, broadcast, file-qc, surveillance, or a config's own."
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
        Path | None, typer.Option("--report", metavar="F.html", help="Also write one self-contained HTML page.")
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
) -> None:
    """Judge files or live URLs."""
    with _Signals() as signals:
        settings, specs = _prepare(
            inputs or [], config, profile, detectors, device, realtime, bool(report), rendition, decode_threads
        )
        folder = None
        if evidence is not None:
            from engine.evidence.folder import EvidenceFolder

            folder = EvidenceFolder(evidence)
        for path in (output, report):
            _check_writable(path)
        with _opened(output) as out:
            run = _Run(WRITERS[format](out), signals, folder)
            outcomes = run.judge(specs, settings)
            if report is not None:
                from engine.report import write_report

                write_report(report, outcomes)
            if run.pipe_closed:
                raise _PipeClosed
    for outcome in outcomes:
        if outcome.error is not None:
            _complain(outcome.error)
    raise typer.Exit(exit_code(outcomes, fail_on))


def exit_code(outcomes: Sequence["Outcome"], fail_on: str) -> int:
    """What `check` exits with: 3 if an input failed, else 1 for an incident at or above `fail_on`, else 0."""
    if any(outcome.error is not None for outcome in outcomes):
        return INPUT_FAILED
    if fail_on == FailOn.NEVER:
        return CLEAN
    least = Severity(fail_on).rank
    bad = any(incident.severity.rank >= least for outcome in outcomes for incident in outcome.incidents)
    return INCIDENTS if bad else CLEAN


def _prepare(
    inputs: Sequence[str],
    config_path: Path | None,
    profile: str | None,
    detectors: str | None,
    device: str | None,
    realtime: bool,
    report: bool,
    rendition: str,
    decode_threads: int | None,
) -> tuple[Any, list["StreamSpec"]]:
    """Settings and streams from options, configuration and environment.

    Raises: ConfigError, DeviceError.
    """
    from engine import config as configuration
    from engine.configured import load_config

    config, known = load_config(config_path)
    selection = [] if profile is None else [config.profile(profile)]
    if detectors is not None:
        selection.append(configuration.parse_selection(detectors, list(known)))
    if rendition not in ("best", "worst") and not rendition.isdigit():
        raise ConfigError(
            "unknown rendition", stream="--rendition", why=f"{rendition!r} is neither best, worst nor a height",
            remedy="write best, worst, or a number of lines as 720",
        )  # fmt: skip
    if not inputs and not config.streams:
        raise ConfigError("nothing to judge", why="no input was named", remedy="avjury check INPUT..., or --config F")

    from engine.evidence.recorder import EvidenceSettings
    from engine.pipeline import EngineSettings, StreamSpec, choose_device
    from engine.slate_images import configured

    if inputs:
        chosen = configuration.select(list(known), [*config.tables(), *selection])
        specs = [StreamSpec(name, url, chosen, rendition=rendition) for name, url in _ids(inputs)]
    else:
        specs = [
            StreamSpec(id=s.id, url=s.url, detectors=configuration.select(list(known), [*config.tables(s), *selection]))
            for s in config.streams
        ]
    settings = EngineSettings(
        device=device or config.engine.device,
        max_batch=config.engine.max_batch,
        max_wait_seconds=config.engine.max_wait_seconds,
        decode_threads=next(n for n in (decode_threads, config.engine.decode_threads, 1) if n is not None),
        realtime=realtime,
        reconnect=False,  # a check ends; it is the service that waits for what comes back
        trace=report,
        thumbnails=report,
        evidence=EvidenceSettings.of(config.storage, patient=True),
        slates=configured(config),
    )
    choose_device(settings.device)  # before any input is opened
    return settings, specs


def _ids(inputs: Sequence[str]) -> list[tuple[str, str]]:
    """An id for each input: itself, its secrets hidden; the second of two equal ones is told apart."""
    from engine.ingest.url_policy import redact

    seen: dict[str, int] = {}
    named = []
    for url in inputs:
        name = redact(url)
        seen[name] = seen.get(name, 0) + 1
        named.append((name if seen[name] == 1 else f"{name}#{seen[name]}", url))
    return named


class _PipeClosed(Exception):
    """Whoever read stdout has gone."""


class _Signals:
    """SIGINT and SIGTERM stop the engine, so that what was found is still told; a second one ends at once."""

    def __init__(self) -> None:
        self.asked = False
        self._engine: Engine | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "_Signals":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def watch(self, engine: "Engine") -> None:
        """Stop this engine from now on."""
        self._engine = engine
        if self.asked:
            engine.stop()

    def stop(self) -> None:
        """What a signal does."""
        self.asked = True
        if self._engine is not None:
            self._engine.stop()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.stop()


class _Run:
    """Listens to the engine: closed incidents and summaries to the writer, progress to the terminal."""

    def __init__(self, writer: Writer, signals: _Signals, evidence: "EvidenceFolder | None" = None) -> None:
        self.pipe_closed = False
        self._evidence = evidence
        self._writer = writer
        self._signals = signals
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}
        self._open: dict[str, int] = {}

    def judge(self, specs: Sequence["StreamSpec"], settings: Any) -> list["Outcome"]:
        """Judge, and write every record."""
        from engine.pipeline import check as judge

        with self._bar(specs), _log_to_stderr():
            sink = None if self._evidence is None else self._evidence.take
            outcomes = judge(specs, settings, self, self._signals.watch, sink)
        self._write(lambda: self._writer.finish([spec.id for spec in specs]))
        return outcomes

    def on_incident(self, incident: Incident, change: Literal["opened", "updated", "closed"]) -> None:
        """A closed one is a record."""
        if self._evidence is not None:
            self._evidence.know(incident)
        if change == "closed":
            self._write(lambda: self._writer.incident(incident))
        if change != "updated" and self._progress is not None:
            self._open[incident.stream] = self._open.get(incident.stream, 0) + (1 if change == "opened" else -1)

    def on_second(self, second: StreamSecond) -> None:
        """Not shown."""

    def on_progress(self, stream: str, media_seconds: float, duration: float | None) -> None:
        """Move the stream's bar."""
        if self._progress is not None:
            open_now = self._open.get(stream, 0)
            state = f"[red]{open_now} open[/red]" if open_now else ""
            self._progress.update(self._tasks[stream], completed=media_seconds, total=duration, state=state)

    def on_end(self, outcome: "Outcome") -> None:
        """Its summary is a record; a stream that failed has none."""
        if outcome.summary is not None:
            summary = outcome.summary
            self._write(lambda: self._writer.summary(summary))
        if self._progress is not None:
            self._progress.update(self._tasks[outcome.stream], visible=False)

    def _write(self, write: Any) -> None:
        if self.pipe_closed:
            return
        try:
            write()
        except BrokenPipeError:
            self.pipe_closed = True
            self._signals.stop()

    @contextlib.contextmanager
    def _bar(self, specs: Sequence["StreamSpec"]) -> Iterator[None]:
        if not sys.stderr.isatty():
            yield
            return
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = ("[progress.description]{task.description}", "{task.completed:.1f} s", "{task.fields[state]}")
        name, at, state = (TextColumn(text) for text in columns)
        with Progress(
            name, BarColumn(), at, TimeElapsedColumn(), state, console=Console(stderr=True), transient=True
        ) as progress:
            for spec in specs:
                self._tasks[spec.id] = progress.add_task(escape(printable(spec.id)), total=None, state="")
            self._progress = progress
            try:
                yield
            finally:
                self._progress = None


@contextlib.contextmanager
def _log_to_stderr() -> Iterator[None]:
    """What the engine logs (a fallback, a reconnect) is told once, on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("avjury: %(message)s"))
    logger = logging.getLogger("engine")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


@contextlib.contextmanager
def _opened(path: Path | None) -> Iterator[IO[str]]:
    if path is None:
        yield sys.stdout
        return
    with path.open("w", encoding="utf-8") as file:
        yield file


def _check_writable(path: Path | None) -> None:
    """Find out before judging for an hour that the result cannot be kept.

    Raises: ConfigError.
    """
    if path is None:
        return
    try:
        with path.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise ConfigError(
            "cannot write output", stream=str(path), why=error.strerror or str(error), remedy="name a writable file"
        ) from error


@app.command()
def detectors(
    format: Annotated[Format, typer.Option("--format", help="How the list is written.")] = Format.TABLE,
) -> None:
    """List the detectors with their parameters and defaults."""
    from engine.detectors_table import print_detectors

    print_detectors(format.value, sys.stdout)


@app.command()
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


@app.command()
def doctor(
    format: Annotated[Format, typer.Option("--format", help="How the findings are written.")] = Format.TABLE,
) -> None:
    """Say what this machine can do (GPU, NVDEC, codecs, libraries) and what would fall back."""
    from engine.doctor import main as examine

    raise typer.Exit(examine(format))


notify = typer.Typer(no_args_is_help=True, help="Notifications.")
app.add_typer(notify, name="notify")


@notify.command("test")
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


@app.command()
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


@app.command()
def demo(
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="Where the clip and the report are written.")
    ] = Path("demo-out"),
    device: Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda|cuda:N", help="Where to judge.")] = "auto",
) -> None:
    """Make a clip with planted defects, judge it, and compare."""
    from engine.demo import run_demo

    raise typer.Exit(CLEAN if run_demo(output, device) else INCIDENTS)


@app.command()
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


class Network(StrEnum):
    """What can be trained."""

    ARTIFACT = "artifact"


@app.command()
def train(
    network: Annotated[Network, typer.Argument(help="Which network.")],
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
    windows: Annotated[int, typer.Option("--windows", min=1, help="Parts of each clip.")] = 4,
    device: Annotated[str, typer.Option("--device", metavar="cpu|cuda", help="Where to train.")] = "cpu",
) -> None:
    """Train a detector network on clips of your own, spoilt in many ways."""
    from models.train import TrainSettings, clips_of
    from models.train import train as train_network

    if weights.suffix != ".safetensors":
        raise ConfigError("cannot write weights", stream=str(weights), why="they are written as safetensors only",
                          remedy="name a file that ends in .safetensors")  # fmt: skip
    if not clips_of(media, tuple(skip or ())):
        raise ConfigError("nothing to train on", stream=str(media), why="no clip is in this folder",
                          remedy="name a folder of clips")  # fmt: skip
    settings = TrainSettings(media, work, weights, minutes, seed, threads, tuple(skip or ()), windows, device)
    typer.echo(train_network(settings, lambda text: typer.echo(text, err=True)))


# No help option of its own: `avjury bench cpu --help` is the benchmark's to answer.
@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Which benchmark; none lists them.")] = None,
) -> None:
    """Run a benchmark of the harness; what follows NAME is handed to it."""
    import importlib.util
    import subprocess

    # A program of its own: it measures its process's memory and threads, and the engine does not import it.
    folder = importlib.util.find_spec("benchmarks")
    places = list(folder.submodule_search_locations or []) if folder is not None else []
    names = sorted(
        file.stem.replace("_", "-")
        for place in places
        for file in Path(place).glob("*.py")
        if "__main__" in file.read_text(encoding="utf-8")
    )
    if name in (None, "--help"):
        typer.echo("Usage: avjury bench NAME [OPTIONS]; `avjury bench NAME --help` tells its options. There are:")
        typer.echo("\n".join(names))
        return
    if name.replace("_", "-") not in names:
        raise ConfigError("no such benchmark", stream=name, why="the harness has none of that name",
                          remedy=f"choose one of: {', '.join(names)}")  # fmt: skip
    module = f"benchmarks.{name.replace('-', '_')}"
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(
        [*(str(Path(p).parent) for p in places), environment.get("PYTHONPATH", "")]
    )
    raise typer.Exit(subprocess.call([sys.executable, "-m", module, *context.args], env=environment))


def _complain(error: AvjuryError) -> None:
    print(f"avjury: {printable(error.line())}", file=sys.stderr)  # noqa: T201 - the command's own error line


def main(arguments: Sequence[str] | None = None) -> None:
    """The command `avjury`: run, and exit with the code of docs/output.md."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run a command.

    Returns: the exit code.
    """
    command = typer.main.get_command(app)
    try:
        code = command.main(list(arguments), prog_name="avjury", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else CLEAN
    except AvjuryError as error:
        _complain(error)
        return error.exit_code
    except TyperException as error:
        if message := error.format_message():
            print(f"avjury: {printable(message)} (see avjury --help)", file=sys.stderr)  # noqa: T201 - as above
        return USAGE
    except (BrokenPipeError, _PipeClosed):
        # The interpreter flushes stdout once more at its end; let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except (KeyboardInterrupt, typer.Abort):
        print("avjury: interrupted", file=sys.stderr)  # noqa: T201 - as above
        return INTERRUPTED


if __name__ == "__main__":
    main()
