"""`avjury bench mutations`: damaged clips, decoded and judged in processes of their own: crashes, hangs, growth.

Clips are made with ffmpeg in many codecs and containers; where AVJURY_MEDIA names a folder of real ones, the beginning
of each of these is there too. Each damaged clip is made of one by a draw of `--seed` and its number (benchmarks/
mutated_clip.py): bits, bytes, zeros, cuts, repeats, swaps, numbers at their limits, splices of two. Most are opened,
demuxed and decoded in a process that is confined as ingest processes are; some (`--judge-every`) are judged with every
detector. A process that dies or that works on one clip for longer than the limit is noted with the number, and the next
one begins behind it.

What libav does not survive is a finding, and no failure of the service, which starts the process again; whatever raises
something other than an error of ours is a mistake. The command ends with 1 where there is one of either.
"""

import collections
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from mmap import mmap
from pathlib import Path
from typing import Any, Final

import imageio_ffmpeg
import psutil

from benchmarks.harness import parser, say, show_children_this_tree, write_result
from benchmarks.mutated_clip import KINDS, MOST_SECONDS, STATE
from engine.service.children import ending

LARGEST_CLIP: Final = 60_000
LOOK_SECONDS: Final = 0.5
# A child that waits for something for so many looks hangs, though it uses no processor. Looks are counted and not
# seconds, and a child that wants to run is let be: whoever stops this benchmark for a while, or gives its processors to
# others, has hung nobody.
MOST_WAITING_LOOKS: Final = 360
TEST_PICTURE: Final = "testsrc2=s=96x64:r=25:d=0.4"
TEST_SOUND: Final = "sine=d=0.4:r=48000"
# Suffix: codecs.
MADE: Final = {
    "h264.ts": ("-c:v", "libx264", "-bf", "2", "-c:a", "aac"),
    "h264.mp4": ("-c:v", "libx264", "-c:a", "aac", "-movflags", "+faststart"),
    "h264-fragments.mp4": ("-c:v", "libx264", "-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"),
    "h264-interlaced.ts": ("-c:v", "libx264", "-flags", "+ildct+ilme", "-x264opts", "tff=1", "-c:a", "ac3"),
    "h264-10bit.mkv": ("-c:v", "libx264", "-pix_fmt", "yuv420p10le", "-c:a", "libopus"),
    "hevc.ts": ("-c:v", "libx265", "-x265-params", "log-level=error", "-preset", "ultrafast", "-c:a", "eac3"),
    "hevc.mp4": ("-c:v", "libx265", "-x265-params", "log-level=error", "-preset", "ultrafast", "-c:a", "aac"),
    "mpeg2.ts": ("-c:v", "mpeg2video", "-q:v", "8", "-c:a", "mp2"),
    "mpeg2.mpg": ("-c:v", "mpeg2video", "-q:v", "8", "-c:a", "mp2"),
    "mpeg4.avi": ("-c:v", "mpeg4", "-c:a", "libmp3lame"),
    "vp8.webm": ("-c:v", "libvpx", "-c:a", "libvorbis"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-c:a", "libopus"),
    "av1.mp4": ("-c:v", "libaom-av1", "-cpu-used", "8", "-c:a", "aac"),
    "flv1.flv": ("-c:v", "flv", "-ar", "44100", "-c:a", "libmp3lame"),
    "prores.mov": ("-c:v", "prores_ks", "-c:a", "pcm_s16le"),
    "mjpeg.mkv": ("-c:v", "mjpeg", "-c:a", "flac"),
    "sound.mp3": ("-vn", "-c:a", "libmp3lame"),
    "sound.flac": ("-vn", "-c:a", "flac"),
    "sound.ogg": ("-vn", "-c:a", "libvorbis"),
    "sound.wav": ("-vn", "-c:a", "pcm_s16le"),
    "sound.aac": ("-vn", "-c:a", "aac"),
}
_REAL_SUFFIXES: Final = frozenset((".ts", ".mp4", ".mkv", ".mov", ".webm", ".mpg", ".flac", ".wav", ".avi", ".flv"))


def make_clips(folder: Path, media: Path | None) -> int:
    """The clips that are damaged. Returns: how many of them come from real ones."""
    program = imageio_ffmpeg.get_ffmpeg_exe()
    begin = [program, "-y", "-v", "error", "-nostdin"]
    for name, codecs in MADE.items():
        sources = ["-f", "lavfi", "-i", TEST_PICTURE, "-f", "lavfi", "-i", TEST_SOUND]
        done = subprocess.run([*begin, *sources, "-threads", "1", *codecs, str(folder / name)], check=False)
        if done.returncode != 0:  # not every ffmpeg has every encoder
            (folder / name).unlink(missing_ok=True)
    real = 0
    for path in sorted(media.rglob("*")) if media is not None else ():
        if path.suffix not in _REAL_SUFFIXES:
            continue
        target = folder / f"real-{path.stem[:40]}{path.suffix}"
        if path.stat().st_size > LARGEST_CLIP:
            command = [*begin, "-t", "0.4", "-i", str(path), "-map", "0:v:0?", "-map", "0:a:0?", "-c", "copy"]
            if path.suffix in (".flac", ".wav"):
                command = [*begin, "-t", "0.4", "-i", str(path)]
            subprocess.run([*command, str(target)], check=False, stderr=subprocess.DEVNULL)
        else:
            shutil.copyfile(path, target)
        if target.exists() and 0 < target.stat().st_size <= LARGEST_CLIP:
            real += 1
        else:
            target.unlink(missing_ok=True)
    for path in folder.iterdir():
        path.chmod(0o600)
    return real


class Runner:
    """Runs children over a range of numbers, and starts the next one where one dies or hangs.

    Args:
        work: folder of the clips.
        seed: of all draws.
        enough: once set, no more is done.
    """

    def __init__(self, work: Path, seed: int, enough: threading.Event) -> None:
        self._work, self._seed, self._enough = work, seed, enough
        self.deaths: list[dict[str, Any]] = []
        self.hangs: list[int] = []

    def run(self, first: int, end: int, step: int, deadline: float, *, judge: bool) -> int:
        """Work on the numbers; until the deadline. Returns: how many were done."""
        state_path = self._work / "state"
        state_path.write_bytes(STATE.pack(first, 0, 0))
        while first < end and time.monotonic() < deadline and not self._enough.is_set():
            command = [sys.executable, "-m", "benchmarks.mutated_clip", "--work", str(self._work)]
            command += ["--seed", str(self._seed), "--first", str(first), "--end", str(end), "--step", str(step)]
            with (
                open(state_path, "r+b") as file,
                mmap(file.fileno(), STATE.size) as state,
                subprocess.Popen([*command, *(["--judge"] if judge else [])], stderr=subprocess.DEVNULL) as child,
            ):
                at, waiting, spent = -1, 0, 0.0
                while child.poll() is None:
                    self._enough.wait(LOOK_SECONDS)
                    number, done, resident = STATE.unpack(state[:])
                    used, idle = _looked_at(child.pid)
                    if number != at or not resident:  # the first one waits for all that is loaded
                        at, waiting, spent = number, 0, used
                    waiting += idle
                    if used - spent > MOST_SECONDS or waiting > MOST_WAITING_LOOKS:
                        child.kill()
                        child.wait()
                        self.hangs.append(number)
                        break
                    if time.monotonic() > deadline or self._enough.is_set():
                        child.kill()
                        child.wait()
                        return int(done)
                number, done, _ = STATE.unpack(state[:])
                if number >= end:
                    return int(done)
                if number not in self.hangs:
                    self.deaths.append({"number": number, "ended": ending(child.returncode)})
                state[:] = STATE.pack(number, done + 1, 0)
                first = number + step
        return int(STATE.unpack(state_path.read_bytes())[1])

    def counted(self) -> dict[str, Any]:
        """What the children wrote down."""
        counts: collections.Counter[str] = collections.Counter()
        unexpected: list[dict[str, Any]] = []
        resident: list[tuple[int, int]] = []
        written = self._work / "counted"
        for line in written.read_text().splitlines() if written.exists() else ():
            said = json.loads(line)
            if "unexpected" in said:
                unexpected.append(said)
            else:
                counts.update(said["counts"])
                resident.append((said["done"], said["resident"]))
        return {"outcomes": dict(counts.most_common()), "unexpected": unexpected, "resident": resident}


def _looked_at(pid: int) -> tuple[float, bool]:
    """Processor seconds that a child has used, and whether it waits for something else than a processor."""
    try:
        child = psutil.Process(pid)
        return float(sum(child.cpu_times()[:2])), child.status() != psutil.STATUS_RUNNING
    except psutil.NoSuchProcess:
        return 0.0, False


def growth(resident: list[tuple[int, int]]) -> dict[str, float] | None:
    """Megabytes of the process at the middle and at the end of its work, smoothed; None where there is too little."""
    if len(resident) < 20:
        return None
    tenth = max(1, len(resident) // 10)
    middle, last = resident[len(resident) // 2 :][:tenth], resident[-tenth:]
    begin, end = (sum(size for _, size in part) / len(part) / 2**20 for part in (middle, last))
    clips = last[-1][0] - middle[0][0]
    return {"middle_mb": round(begin, 1), "end_mb": round(end, 1), "clips_between": clips}


def main() -> int:
    """Parse the command line, run, and keep the result."""
    arguments = parser("mutations", __doc__)
    arguments.add_argument("--decodes", type=int, default=100_000, help="damaged clips")
    arguments.add_argument("--judge-every", type=int, default=200, help="each such one is also judged; 0 judges none")
    arguments.add_argument("--seconds", type=float, default=3000.0, help="after which it stops where it is")
    arguments.add_argument("--seed", type=int, default=None, help="of the draws; drawn and told if not given")
    options = arguments.parse_args()
    show_children_this_tree()
    seed = int.from_bytes(os.urandom(4), "big") if options.seed is None else options.seed
    named = os.environ.get("AVJURY_MEDIA")
    media = Path(named) if named and Path(named).is_dir() else None
    say(f"seed {seed}")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="avjury-mutations-") as name:
        work = Path(name)
        (work / "clips").mkdir()
        real = make_clips(work / "clips", media)
        clips = len(list((work / "clips").iterdir()))
        say(f"{clips} clips, {real} of them real; {', '.join(KINDS)}")
        enough = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: enough.set())
        runner = Runner(work, seed, enough)
        decoded = runner.run(0, options.decodes, 1, began + options.seconds, judge=False)
        found = runner.counted()
        (work / "counted").unlink(missing_ok=True)
        judged, judge_found = 0, None
        if options.judge_every:
            judged = runner.run(0, decoded, options.judge_every, began + 1.3 * options.seconds, judge=True)
            judge_found = runner.counted()
    figures = {
        "seed": seed,
        "clips": clips,
        "real_clips": real,
        "decoded": decoded,
        "judged": judged,
        "seconds": round(time.monotonic() - began, 1),
        "deaths": runner.deaths,
        "hangs": runner.hangs,
        "growth": growth(found["resident"]),
        "outcomes": found["outcomes"],
        "outcomes_judged": None if judge_found is None else judge_found["outcomes"],
        "unexpected": (found["unexpected"] + ([] if judge_found is None else judge_found["unexpected"]))[:50],
    }
    print(write_result("mutations", figures, options.results))  # noqa: T201 - the command's result
    return 1 if figures["unexpected"] or runner.deaths or runner.hangs else 0


if __name__ == "__main__":
    raise SystemExit(main())
