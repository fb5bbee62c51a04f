"""`avjury bench side-costs`: what parts beside the loop cost: storing verdicts, asking about them, and the networks.

- *Verdicts*: an hour of made-up seconds of many streams, one second in a hundred with an incident, written as the
  service writes them: a log a minute, parts of it in a folder, which are merged when the hour is over. Bytes, and CPU
  time of all threads.
- *Network*: CPU time of judging with the artifact network at its usual rate and without, measured as `bench network`
  does.
- *Audio network*: CPU time of one window, and of judging a stream of stereo sound alone with this network at its usual
  rate and without.
"""

import itertools
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import parser, quantiles, say, write_result
from engine.store.directory import Directory
from engine.store.questions import QUESTIONS, Answer, ask
from engine.store.second_rows import row_of
from engine.store.spool import Spool
from engine.store.upkeep import Upkeep
from engine.store.verdict_reader import VerdictReader
from engine.verdicts import StreamSecond

HOUR_BEGINS: Final = 1_790_010_000.0 // 3600 * 3600  # any hour
TROUBLED: Final = 0.01
QUESTION_TURNS: Final = 3
DEFECTS: Final = ("video.black", "video.freeze", "audio.silence", "video.blockiness")
# Of the audio network: windows that are timed one by one, and seconds of sound that are judged.
WINDOWS: Final = 40
SOUND_SECONDS: Final = 60.0
SOUND_TURNS: Final = 5


def made_second(stream: str, number: int, rng: random.Random) -> StreamSecond:
    """A verdict on a healthy second of 25 pictures, or on one with an incident."""
    bad = rng.random() < TROUBLED
    held = (rng.choice(DEFECTS),) if bad else ()
    return StreamSecond(stream, number, 25.0, 25, 25, 1.0, int(bad), held, (), held if rng.random() < 0.5 else ())


def verdicts(folder: Path, streams: int, minutes: int) -> dict[str, Any]:
    """Write so many minutes of so many streams, merge them, and ask.

    Args:
        folder: empty.
        streams: their number.
        minutes: up to 60.
    """
    rng, names = random.Random(1), [f"channel-{index:04}" for index in range(streams)]
    spool, store = Spool(folder / "spool", 1 << 32), Directory(folder / "verdicts")
    log_bytes = part_bytes = 0
    written = 0.0
    for minute in range(minutes):
        seconds = range(60 * minute, 60 * (minute + 1))
        rows = [row_of(made_second(name, at, rng), "session", HOUR_BEGINS + at) for at in seconds for name in names]
        began = time.process_time()
        spool.append(rows)
        spool.sync()
        log_bytes += spool.log_bytes
        spool.finish_log()
        spool.make_parts()
        for part in spool.waiting():
            content = spool.content(part)
            if content is None:
                raise RuntimeError(f"{part.name} was lost")
            part_bytes += len(content)
            store.put(part.name, content)
            spool.sent(part)
        written += time.process_time() - began
    rows_in_all = 60 * minutes * streams
    merging = _cpu(lambda: Upkeep(store, spool, None, clock=lambda: HOUR_BEGINS + 3 * 3600).merge())
    spool.close()
    merged_bytes = sum(stored.bytes for stored in store.walk())
    reader, since, until = VerdictReader(store), HOUR_BEGINS, HOUR_BEGINS + 3600

    def asked(question: str) -> Callable[[], Answer]:
        return lambda: ask(reader, question, since=since, until=until)

    if asked("SELECT count(*) FROM seconds")().rows != ((rows_in_all,),):
        raise RuntimeError("rows were lost")
    questions = {name: quantiles([_cpu(asked(name)) for _ in range(QUESTION_TURNS)]) for name in QUESTIONS}
    page = [_cpu(lambda: reader.seconds(names[0], since=since, until=until, limit=1000)) for _ in range(QUESTION_TURNS)]
    return {
        "streams": streams,
        "rows": rows_in_all,
        "bytes_a_row": {"log": round(log_bytes / rows_in_all, 2), "parts": round(part_bytes / rows_in_all, 2),
                        "merged": round(merged_bytes / rows_in_all, 2)},
        "writing_cpu_microseconds_a_row": round(1e6 * written / rows_in_all, 2),
        "merging_cpu_seconds": round(merging, 3),
        "parts": minutes,
        "question_cpu_seconds": questions,
        "question_cpu_seconds_least": min(of["p50"] for of in questions.values()),
        "question_cpu_seconds_most": max(of["p50"] for of in questions.values()),
        "page_cpu_seconds": quantiles(page),
    }  # fmt: skip


def audio_network(folder: Path) -> dict[str, Any]:
    """CPU seconds of one window of the audio network, and of a stream-second of sound with it and without.

    Args:
        folder: for the sound that is made.
    """
    import imageio_ffmpeg
    import numpy as np
    import torch

    from engine.measure.listening import AudioNetworkUse, Listening
    from engine.pipeline import Engine
    from engine.spec import AudioNetworkSettings, EngineSettings, StreamSpec
    from models.audio_hearing import WINDOW_SAMPLES
    from models.audio_weights import load_audio

    rate = AudioNetworkSettings().windows_per_second
    listening = Listening(torch.device("cpu"), 1, AudioNetworkUse(load_audio(), rate))
    sound = np.random.default_rng(1).normal(0, 0.1, (WINDOWS + 1, 1, 2, WINDOW_SAMPLES)).astype(np.float32)
    windows = [_cpu(partial(listening.said_of, torch.from_numpy(heard))) for heard in sound][1:]

    path = folder / "sound.wav"
    source = "anoisesrc=color=pink:amplitude=0.2:sample_rate=48000:seed=1,tremolo=f=2:d=0.9"
    made = ["-f", "lavfi", "-i", source, "-t", f"{SOUND_SECONDS:g}", "-ac", "2", str(path)]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *made]
    subprocess.run(command, check=True, timeout=300, stdin=subprocess.DEVNULL)
    taken: dict[float, list[float]] = {0.0: [], rate: []}
    for turn, windows_per_second in itertools.product(range(SOUND_TURNS + 1), taken):
        settings = EngineSettings(device="cpu", audio_network=AudioNetworkSettings(windows_per_second))
        engine = Engine(settings, slots=1)
        engine.add(StreamSpec("sound", str(path)))
        seconds = _cpu(engine.run)
        if (error := engine.outcomes["sound"].error) is not None:
            raise error
        if turn:  # the first compiles
            taken[windows_per_second].append(seconds / SOUND_SECONDS)
    without, with_it = (statistics.median(taken[of]) for of in (0.0, rate))
    return {
        "windows_per_second": rate,
        "window_cpu_seconds": quantiles(windows),
        "cpu_seconds_per_stream_second": round(with_it, 5),
        "without": round(without, 5),
        "share": round(1 - without / with_it, 4),
        "turns": SOUND_TURNS,
    }


def _cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> int:
    """Parse the command line, run, and keep the result."""
    arguments = parser("side-costs", __doc__)
    arguments.add_argument("--streams", type=int, default=300, help="of which verdicts are stored")
    arguments.add_argument("--minutes", type=int, default=60, help="of verdicts, up to 60")
    without = arguments.add_mutually_exclusive_group()
    without.add_argument("--without-network", action="store_true", help="leave the networks out")
    without.add_argument("--without-verdicts", action="store_true", help="measure the networks alone")
    options = arguments.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="avjury-bench-") as name:
        if not options.without_verdicts:
            figures["verdicts"] = verdicts(Path(name), options.streams, options.minutes)
            say(str(figures["verdicts"]))
        if not options.without_network:
            from benchmarks.network import cost
            from models.artifact_weights import SHIPPED_WEIGHTS

            figures["network"] = cost(SHIPPED_WEIGHTS, Path(name))
            say(str(figures["network"]))
            figures["audio_network"] = audio_network(Path(name))
            say(str(figures["audio_network"]))
    print(write_result("side-costs", figures, options.results))  # noqa: T201 - the command's result
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
