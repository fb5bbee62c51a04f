"""`avjury check`: options to settings, records to the writer, outcomes to an exit code.

Run by: the user's main thread. Torch, the kernels and the decoders are imported only once the options are found right.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from engine.errors import ConfigError, PipeClosed
from engine.exit_codes import CLEAN, INCIDENTS, INPUT_FAILED
from engine.incidents import Change
from engine.output import WRITERS, Writer, complain, printable
from engine.startup import nothing_is_garbage
from engine.stop_signals import StopSignals
from engine.verdicts import Incident, Severity, StreamSecond

if TYPE_CHECKING:
    from engine.evidence.folder import EvidenceFolder
    from engine.outcome import Outcome
    from engine.spec import EngineSettings, StreamSpec

NEVER: Final = "never"


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What `avjury check` was asked for; see its help.

    Args:
        inputs: files or URLs; the streams of the configuration if there are none.
        format: "table", "jsonl" or "json".
        fail_on: "warning", "critical" or "never".
        decode_threads: None takes the configuration's.
        reference: one of the inputs, that the others are compared with.
        weights: of the artifact network; None takes the configuration's.
    """

    inputs: Sequence[str]
    config: Path | None
    detectors: str | None
    profile: str | None
    device: str | None
    format: str
    output: Path | None
    report: Path | None
    evidence: Path | None
    fail_on: str
    realtime: bool
    rendition: str
    decode_threads: int | None
    reference: str | None = None
    weights: Path | None = None


def judge_inputs(options: CheckOptions) -> int:
    """Judge files or live URLs.

    Returns: the exit code.
    Raises: ConfigError, DeviceError; PipeClosed if whoever read the records has gone.
    """
    with StopSignals() as signals:
        with nothing_is_garbage():
            settings, specs = prepare(options)
            import engine.pipeline  # noqa: F401 - `judge` needs it
        folder = None
        if options.evidence is not None:
            from engine.evidence.folder import EvidenceFolder

            folder = EvidenceFolder(options.evidence)
        for path in (options.output, options.report):
            _check_no_input(path, options.inputs)
            _check_writable(path)
        with _opened(options.output) as out:
            listener = CheckListener(WRITERS[options.format](out), signals, folder)
            outcomes = listener.judge(specs, settings)
            if options.report is not None:
                _write_report(options.report, outcomes, _profiles(options, [spec.id for spec in specs]), folder)
            if listener.pipe_closed:
                raise PipeClosed
    for outcome in outcomes:
        if outcome.error is not None:
            complain(outcome.error)
    return exit_code(outcomes, options.fail_on)


def _write_report(
    path: Path, outcomes: Sequence["Outcome"], profiles: dict[str, str], folder: "EvidenceFolder | None"
) -> None:
    from engine.report import Background, write_report

    beside = path.resolve().parent
    evidence: dict[str, dict[str, str]] = {
        incident: {str(kind): os.path.relpath(file.resolve(), beside) for kind, file in files.items()}
        for incident, files in ({} if folder is None else folder.files).items()
    }
    write_report(path, outcomes, Background(profiles, evidence))


def _profiles(options: CheckOptions, streams: Sequence[str]) -> dict[str, str]:
    """What each stream is judged against, in words: its profile, what the command line chose, whose configuration."""
    from engine.configured import load_config

    config, _ = load_config(options.config)
    own = {} if options.inputs else {stream.id: stream.profile for stream in config.streams}
    said = {}
    for stream in streams:
        names = list(dict.fromkeys(name for name in (own.get(stream), options.profile) if name is not None))
        parts = [" and ".join(names) or "the defaults"]
        if options.detectors is not None:
            parts.append(f"detectors {options.detectors}")
        if options.config is not None:
            parts.append(f"configuration {options.config.name}")
        said[stream] = ", ".join(parts)
    return said


def exit_code(outcomes: Sequence["Outcome"], fail_on: str) -> int:
    """What `check` exits with: 3 if an input failed, else 1 for an incident at or above `fail_on`, else 0."""
    if any(outcome.error is not None for outcome in outcomes):
        return INPUT_FAILED
    if fail_on == NEVER:
        return CLEAN
    least = Severity(fail_on).rank
    bad = any(incident.severity.rank >= least for outcome in outcomes for incident in outcome.incidents)
    return INCIDENTS if bad else CLEAN


def prepare(options: CheckOptions) -> tuple["EngineSettings", list["StreamSpec"]]:
    """Settings and streams from options, configuration and environment.

    Raises: ConfigError, DeviceError.
    """
    from engine import config as configuration
    from engine.configured import load_config

    config, known = load_config(options.config)
    selection = [] if options.profile is None else [config.profile(options.profile)]
    if options.detectors is not None:
        selection.append(configuration.parse_selection(options.detectors, list(known)))
    if options.rendition not in ("best", "worst") and not options.rendition.isdigit():
        raise ConfigError(
            "unknown rendition", stream="--rendition", why=f"{options.rendition!r} is neither best, worst nor a height",
            remedy="write best, worst, or a number of lines as 720",
        )  # fmt: skip
    if options.reference is not None and not options.inputs:
        raise ConfigError(
            "no inputs",
            stream="--reference",
            why="it is one of the inputs that are named beside it",
            remedy="avjury check A B --reference A; in a configuration, streams have `reference`",
        )
    if not options.inputs and not config.streams:
        raise ConfigError("nothing to judge", why="no input was named", remedy="avjury check INPUT..., or --config F")

    named = _ids(options.inputs)
    reference = _reference(options.reference, named)
    # What follows takes seconds: torch.
    from engine.devices import choose_device
    from engine.evidence.recorder import EvidenceSettings
    from engine.slate_images import configured
    from engine.spec import AudioNetworkSettings, EngineSettings, NetworkSettings, StreamSpec, SyncNetworkSettings

    if options.inputs:
        chosen = configuration.select(list(known), [*config.tables(), *selection])
        specs = [
            StreamSpec(
                name, url, chosen, rendition=options.rendition, reference=None if name == reference else reference
            )
            for name, url in named
        ]
    else:
        specs = [
            StreamSpec(
                id=s.id,
                url=s.url,
                detectors=configuration.select(list(known), [*config.tables(s), *selection]),
                reference=s.reference,
            )
            for s in config.streams
        ]
    settings = EngineSettings(
        device=options.device or config.engine.device,
        max_batch=config.engine.max_batch,
        max_wait_seconds=config.engine.max_wait_seconds,
        decode_threads=next(n for n in (options.decode_threads, config.engine.decode_threads, 1) if n is not None),
        graphs=config.engine.graphs,
        realtime=options.realtime,
        reconnect=False,  # a check ends; it is the service that waits for what comes back
        trace=options.report is not None,
        thumbnails=options.report is not None,
        evidence=EvidenceSettings.of(config.storage, patient=True),
        slates=configured(config),
        network=NetworkSettings(
            config.engine.network.pictures_per_second,
            config.engine.network.judges,
            options.weights or config.engine.network.weights,
            config.engine.network.whole_pictures,
            config.engine.network.confirms,
        ),
        audio_network=AudioNetworkSettings(
            config.engine.audio_network.windows_per_second, config.engine.audio_network.weights
        ),
        sync_network=SyncNetworkSettings(config.engine.sync_network.judges, config.engine.sync_network.weights),
    )
    choose_device(settings.device)  # before any input is opened
    return settings, specs


def _reference(reference: str | None, named: Sequence[tuple[str, str]]) -> str | None:
    """The id of the input that the others are compared with.

    Raises: ConfigError if it is not among the inputs, or the only one.
    """
    if reference is None:
        return None
    found = next((name for name, url in named if reference in (name, url)), None)
    if found is None or len(named) < 2:
        raise ConfigError(
            "no reference",
            stream="--reference",
            why="it has to be one of the inputs, which are at least two",
            remedy="avjury check A B --reference A",
        )
    return found


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


class CheckListener:
    """Listens to the engine: closed incidents and summaries to the writer, progress to the terminal."""

    def __init__(self, writer: Writer, signals: StopSignals, evidence: "EvidenceFolder | None" = None) -> None:
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

    def on_incident(self, incident: Incident, change: Change) -> None:
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


def _check_no_input(path: Path | None, inputs: Sequence[str]) -> None:
    """Refuse to write over what is judged.

    Raises: ConfigError.
    """
    if path is None or not path.is_file():
        return
    for name in inputs:
        try:
            if not path.samefile(name):
                continue
        except (OSError, ValueError):
            continue  # no path at all
        raise ConfigError("cannot write output", stream=str(path), why="it is an input", remedy="name another file")


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
