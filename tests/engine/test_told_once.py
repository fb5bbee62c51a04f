"""No defect is told twice: what was planted is told as itself alone, and a master speaks for those it dominates."""

import math
import subprocess
from fractions import Fraction

import pytest
import torch
from media import ffmpeg_exe
from moving_content import pictures, write_master

from engine.detectors import DETECTORS
from engine.judge import Judge
from engine.measure.columns import COLUMNS
from engine.media import Measures
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec
from models.synthesis.picture import PLANTERS, plant
from models.synthesis.picture_clip import write_pictures

RATE = Fraction(25)
# In each planter's own unit.
PLANTED = {
    "black": 1.0, "uniform": 1.0, "freeze": 1.0, "bars": 0.75, "noise": 14.0, "blur": 6.0, "combing": 1.0,
    "chroma_loss": 1.0, "plane_loss": 0.0, "partial_freeze": 0.5, "flash": 0.6, "flicker": 0.12, "stutter": 0.15,
    "letterbox": 0.25, "block_dropout": 0.02, "row_smear": 0.4, "column_smear": 0.4, "line_jitter": 0.01,
    "chroma_noise": 20.0, "planes_swapped": 1.0, "chroma_inverted": 1.0, "negative": 1.0,
}  # fmt: skip
QUICK = ("black", "uniform", "freeze", "bars")
PAIRS = [(master, d.name) for d in DETECTORS for master in d.dominated_by]
KNOWN = {d.name: d for d in DETECTORS}


def told(path):
    [outcome] = check([StreamSpec("clip", str(path))], EngineSettings(device="cpu"))
    assert outcome.error is None
    return [(i.detector, i.start) for i in outcome.incidents if i.cause != "absent_track"]


@pytest.fixture(scope="module")
def clean():
    """Nine seconds of pictures."""
    return [(y, u[::2, ::2].copy(), v[::2, ::2].copy()) for y, u, v in pictures(480, 270, 25, 9.0)]


def marks(what):
    return [] if what in QUICK else [pytest.mark.slow]


@pytest.mark.parametrize("what", [pytest.param(what, marks=marks(what)) for what in PLANTED])
def test_a_planted_defect_of_the_picture_is_told_once_and_as_itself(tmp_path, clean, what):
    path = tmp_path / "planted.mp4"
    made = plant(iter(clean), what, rate=RATE, start=2.0, end=8.0, strength=PLANTED[what])
    write_pictures(path, made, rate=RATE)
    [(detector, start)] = told(path)
    assert detector == PLANTERS[what][1]
    # A stutter is known by how often it repeats, over two seconds.
    assert start == pytest.approx(2.0, abs=1.0 if what != "stutter" else 2.0)


def test_an_outage_of_both_is_a_black_picture_and_a_silence_and_no_more(tmp_path):
    master, path = (
        write_master(tmp_path / "master.mov", width=320, height=180, rate=25, seconds=8),
        tmp_path / "out.mp4",
    )
    dark = r"drawbox=t=fill:color=black:enable=between(t\,1.99\,6.01)"
    command = [ffmpeg_exe(), "-y", "-v", "error", "-i", str(master), "-vf", dark, "-af"]
    command += [r"volume=0:enable=between(t\,2\,6)", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "15"]
    subprocess.run([*command, "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "192k", str(path)], check=True, timeout=60)
    assert sorted(told(path)) == [
        ("audio.silence", pytest.approx(2.0, abs=0.1)),
        ("video.black", pytest.approx(2.0, abs=0.05)),
    ]


def bad(rule):
    """A value past the threshold."""
    step = max(1.0, abs(rule.enter))
    return rule.enter - step if rule.below else rule.enter + step


@pytest.mark.parametrize(("master", "dominated"), PAIRS)
def test_what_is_as_bad_as_its_master_is_not_told_beside_it(master, dominated):
    """Both are bad from the same moment on, for as long as both need; the one that is dominated may need less."""
    pair = KNOWN[master], KNOWN[dominated]
    rules = {d.name: d.rule() for d in pair}
    columns = COLUMNS[pair[0].track]
    judge = Judge(pair, "cpu", 1)
    judge.open_slot(0, rules)
    longest = max(rule.set_seconds for rule in rules.values()) + 5.0
    opened = set()
    for n in range(int(4 * longest)):
        values = torch.full((1, len(columns)), math.nan, dtype=torch.float64)
        for d in pair:
            values[0, columns.index(d.column)] = bad(rules[d.name])
            for name in d.samples or ():
                values[0, columns.index(name)] = 0.0
        begin, end = (torch.tensor([k / 4], dtype=torch.float64) for k in (n, n + 1))
        row = Measures(pair[0].track, columns, torch.tensor([0]), begin, end, values)
        opened |= {t.detector for t in judge.judge(row) if t.kind == "opened"}
    assert opened == {master}
