"""Defects of the transport, planted by real means into real clips in a transport stream, and into coded streams."""

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import av

from benchmarks.tallies import Tally, set_seconds, tally
from engine.detectors import all_detectors
from engine.verdicts import Incident
from models.synthesis import transport
from models.synthesis.planted import Planted

Judge = Callable[[Sequence[Path]], Mapping[str, Sequence[Incident]]]
# By name: spoils a transport stream at a moment.
IN_CLIPS: Mapping[str, Callable[[bytes, float], tuple[bytes, Planted]]] = {
    "lost packet": transport.drop_packets,
    "packet sent three times": transport.repeat_packet,
    "packet marked as damaged": transport.mark_damaged,
    "sync lost": transport.lose_sync,
    "bit errors of 1e-4": lambda data, at: transport.flip_bits(data, at, at + 2.0, 1e-4, seed=round(1000 * at)),
    "PAT missing": lambda data, at: transport.remove_table(data, at, at + 2.0, "pat"),
    "PMT missing": lambda data, at: transport.remove_table(data, at, at + 2.0, "pmt"),
    "timestamps jump by 5 s": lambda data, at: transport.jump_timestamps(data, at, 5.0),
    "timestamps jump back by 3 s": lambda data, at: transport.jump_timestamps(data, at, -3.0),
}
# What is made anew, at three moments each.
MADE: Mapping[str, Callable[[Path, float], Planted]] = {
    "no key frame for 14 s": lambda path, at: transport.starved_keys(path, round(at), round(at) + 14.0, 24.0),
    "picture size": lambda path, at: transport.changed_size(path, round(at), 10.0, ((320, 180), (160, 96))),
    "picture rate": lambda path, at: transport.changed_rate(path, round(at) + 5.0, 18.0, (50, 25)),
    "captions gone": lambda path, at: transport.lost_captions(path, at, None, at + 36.0),
}
MADE_TIMES = 3
# Where the measure itself waits: for this parameter of the detector, or so many seconds of media time that are jumped.
WAITS: Mapping[str, str | float] = {
    "PAT missing": "table",
    "PMT missing": "table",
    "timestamps jump by 5 s": 5.0,
    "no key frame for 14 s": "duration",
    "captions gone": "duration",
}
# Damage that arrives spoils pictures too: it is told twice because there are two ends to mend it.
FOLLOWS = {"stream.decode_errors"}


def transport_stream(clip: Path, path: Path) -> None:
    """A clip's first pictures and sound, as they are coded, in a transport stream."""
    with av.open(str(clip)) as given, av.open(str(path), "w", format="mpegts") as made:
        chosen = [*given.streams.video[:1], *given.streams.audio[:1]]
        tracks: dict[int, Any] = {track.index: made.add_stream_from_template(track) for track in chosen}
        for packet in given.demux(chosen):
            if packet.dts is not None:
                packet.stream = tracks[packet.stream.index]
                made.mux(packet)


def bench_transport(
    folder: Path, clips: Sequence[Path], judge: Judge, seed: int, say: Callable[[str, Tally], None]
) -> dict[str, Tally]:
    """Plant every defect of the transport.

    Args:
        folder: for the copies.
        clips: with H.264 pictures and sound that a transport stream can carry, of six seconds at least.
        judge: gives the incidents of files.
        seed: of the random times.
        say: is told of each kind at the end.
    """
    detectors = {declared.name: declared for declared in all_detectors()}
    tallies: dict[str, Tally] = defaultdict(Tally)
    path = folder / "planted.ts"

    def count(what: str, name: str, planted: Planted, clean: set[str]) -> None:
        wait = WAITS.get(what, 0.0)
        declared = detectors[planted.detector]
        seconds = set_seconds(declared) + (declared.settle()[wait] if isinstance(wait, str) else wait)
        tally(tallies[what], name, [planted], judge([path])[str(path)], clean | FOLLOWS, set_seconds=seconds)

    for clip in clips:
        transport_stream(clip, path)
        whole = path.read_bytes()
        clean = {incident.detector for incident in judge([path])[str(path)]}
        for what, spoil in IN_CLIPS.items():
            at = 2.0 + 2.0 * random.Random(f"{seed} {what} {clip.name}").random()
            data, planted = spoil(whole, at)
            path.write_bytes(data)
            count(what, clip.name, planted, clean)
    for what, make in MADE.items():
        for turn in range(MADE_TIMES):
            at = 3.0 + 2.0 * random.Random(f"{seed} {what} {turn}").random()
            count(what, f"stream {turn}", make(path, at), set())
    for what, counted in tallies.items():
        say(what, counted)
    return dict(tallies)
