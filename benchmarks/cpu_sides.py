"""What `bench cpu` and others compare on a CPU: decoding alone, judging, and FFmpeg's filters, each timed by itself."""

import resource
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

VIDEO_FILTERS: Final = "freezedetect,blackdetect,blockdetect,blurdetect,signalstats"
AUDIO_FILTERS: Final = "silencedetect,ebur128=peak=true"


def decode_only(clip: Path, streams: int) -> dict[str, float]:
    """Decode every track of `streams` copies side by side, a thread each, and give the pictures back at once."""
    import torch

    from engine.decode.choose import DecoderChooser
    from engine.ingest.source import Source

    chooser = DecoderChooser(torch.device("cpu"), decode_threads=1)
    frames = [0] * streams

    def run(index: int) -> None:
        with Source(str(clip), stream=f"{clip.name}#{index}") as source:
            decoders = chooser.open(source.open())
            video, audio = decoders.video, decoders.audio
            for packet in source.packets():
                if packet.track == "audio" and audio is not None:
                    audio.decode(packet)
                elif packet.track == "video" and video is not None:
                    for surface in video.decode(packet):
                        frames[index] += 1
                        surface.release()
            if video is not None:
                for surface in video.flush():
                    frames[index] += 1
                    surface.release()
                video.close()
            if audio is not None:
                audio.flush()
                audio.close()

    def work() -> None:
        threads = [threading.Thread(target=run, args=(index,)) for index in range(streams)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return {**_timed(work, resource.RUSAGE_SELF), "frames": sum(frames)}


def judged(clip: Path, streams: int, decode_threads: int = 1, *, networks: bool = False) -> dict[str, float]:
    """Judge `streams` copies in one engine with every detector; with the networks at their usual rates if told."""
    from engine.pipeline import check
    from engine.spec import AudioNetworkSettings, EngineSettings, NetworkSettings, StreamSpec

    outcomes: list[Any] = []
    settings = EngineSettings(device="cpu", decode_threads=decode_threads)
    if networks:
        settings = replace(settings, network=NetworkSettings(), audio_network=AudioNetworkSettings())

    def work() -> None:
        specs = [StreamSpec(id=f"{clip.name}#{index}", url=str(clip)) for index in range(streams)]
        outcomes.extend(check(specs, settings))

    timed = _timed(work, resource.RUSAGE_SELF)
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
        if outcome.summary.frames_measured != outcome.summary.frames_decoded:
            raise RuntimeError(f"{outcome.stream}: {outcome.summary} has frames that were not measured")
    return {**timed, "frames": sum(outcome.summary.frames_measured for outcome in outcomes)}


def ffmpeg_chain(clip: Path, program: str, filters: str = VIDEO_FILTERS) -> dict[str, float]:
    """Run FFmpeg's filters of the same defects in one chain; it uses what cores it likes."""
    command = [program, "-hide_banner", "-nostats", "-i", str(clip), "-vf", filters, "-af", AUDIO_FILTERS]
    log = ""

    def work() -> None:
        nonlocal log
        done = subprocess.run(
            [*command, "-f", "null", "-progress", "pipe:1", "-"], capture_output=True, text=True, check=True
        )
        log = done.stdout

    timed = _timed(work, resource.RUSAGE_CHILDREN)
    frames = [int(line.partition("=")[2]) for line in log.splitlines() if line.startswith("frame=")]
    return {**timed, "frames": frames[-1]}


def _timed(work: Callable[[], None], who: int) -> dict[str, float]:
    before, began = resource.getrusage(who), time.perf_counter()
    work()
    seconds, after = time.perf_counter() - began, resource.getrusage(who)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "cpu_seconds": cpu}
