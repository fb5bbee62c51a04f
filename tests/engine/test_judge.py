"""Measures of several slots in, transitions out."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from properties import given, settings, st

from engine.detectors import DETECTORS, detector
from engine.errors import ConfigError, MeasureError
from engine.judge import Judge
from engine.media import Measures

VIDEO = ("luma_mean", "mafd", "black_ratio", "blocks", "blur", "blocks_since")
AUDIO = ("quiet", "quiet_lead", "quiet_tail", "short_term", "true_peak_db", "clipped")
STREAM = ("decode_errors", "video_missing_seconds", "audio_missing_seconds")
# Those that judge these measures; the machine is the same for all.
JUDGED = tuple(d for d in DETECTORS if d.column in (*VIDEO, *AUDIO, *STREAM))
RULES = {d.name: d.rule() for d in JUDGED}


def measures(track, columns, slots, start, until, values, device="cpu"):
    return Measures(
        track,
        columns,
        torch.tensor(slots, dtype=torch.int64),
        torch.tensor(start, dtype=torch.float64),
        torch.tensor(until, dtype=torch.float64),
        torch.tensor(values, dtype=torch.float64).reshape(len(slots), len(columns)).to(device),
    )


def picture(at, mafd=0.5, black=0.0, blocks=0.0, blur=2.0):
    return at, at, [100.0, mafd, black, blocks, blur, 0.0]


def video(rows, judge, slot=0):
    """Transitions of one slot's pictures, one call each."""
    found = []
    for start, until, values in rows:
        found += judge.judge(measures("video", VIDEO, [slot], [start], [until], [values]))
    return [(t.slot, t.detector, t.kind, round(t.at, 6)) for t in found]


@pytest.fixture
def judge():
    made = Judge(JUDGED, "cpu", 4)
    made.open_slot(0, RULES)
    return made


def test_a_freeze_opens_and_closes(judge):
    rows = [picture(n / 25, 0.5 if n < 26 or n > 99 else 0.0) for n in range(110)]
    assert video(rows, judge) == [(0, "video.freeze", "opened", 1.0), (0, "video.freeze", "closed", 4.0)]


def test_black_does_not_also_raise_freeze(judge):
    rows = [picture(n / 25, 0.5 if n < 26 or n > 99 else 0.0, 1.0 if 25 < n < 100 else 0.0) for n in range(110)]
    assert video(rows, judge) == [(0, "video.black", "opened", 1.04), (0, "video.black", "closed", 4.0)]


def test_silence_is_right_to_the_sample(judge):
    found = []
    for n in range(40):
        quiet = 10 <= n < 35
        lead, tail = (1200 if n == 35 else 0), (2400 if n == 9 else 0)
        row = [float(quiet), 4800 if quiet else lead, 4800 if quiet else tail, -23.0, -6.0, 0.0]
        found += judge.judge(measures("audio", AUDIO, [0], [n / 10], [(n + 1) / 10], [row]))
    assert [(t.detector, t.kind, round(t.at, 6)) for t in found] == [
        ("audio.silence", "opened", 0.95),
        ("audio.silence", "closed", 3.525),
    ]


def test_a_missing_track_is_backdated(judge):
    found = []
    for n in range(12):
        missing = n - 2.5 if 4 <= n < 10 else 0.0
        found += judge.judge(measures("stream", STREAM, [0], [n], [n + 1], [[0, 0, missing]]))
    assert [(t.detector, t.kind, t.at) for t in found if t.kind != "worse"] == [
        ("stream.missing_audio", "opened", 3.5),
        ("stream.missing_audio", "closed", 10.0),
    ]


def test_decode_errors_close_after_two_quiet_seconds(judge):
    found = []
    for n in range(9):
        found += judge.judge(measures("stream", STREAM, [0], [n], [n + 1], [[1.0 if n in (2, 4) else 0.0, 0, 0]]))
    assert [(t.kind, t.at, t.decided_at) for t in found] == [("opened", 2.0, 3.0), ("closed", 5.0, 7.0)]


def test_the_end_closes_each_track_at_its_own_end(judge):
    assert video([picture(n / 25, black=1.0) for n in range(60)], judge) == [(0, "video.black", "opened", 0.0)]
    closed = judge.close_slot(0, {"video": 2.4, "audio": 9.0, "stream": 9.0})
    assert [(t.detector, t.kind, t.at) for t in closed] == [("video.black", "closed", 2.4)]
    assert judge.close_slot(0, 9.0) == []
    judge.open_slot(0, RULES)  # the next stream of the slot knows nothing of it
    assert video([picture(0.0, black=1.0)], judge) == []


def test_only_the_chosen_detectors_judge_a_slot(judge):
    judge.open_slot(1, {"video.freeze": detector("video.freeze").rule({"duration": 1})})
    rows = [picture(n / 25, 0.0, 1.0, 900.0, 90.0) for n in range(60)]
    assert video(rows, judge, slot=1) == [(1, "video.freeze", "opened", 0.0)]
    assert video(rows, judge, slot=2) == []
    with pytest.raises(ConfigError, match=r"video\.unknown"):
        judge.open_slot(1, {"video.unknown": RULES["video.black"]})


def test_a_track_that_nobody_judges():
    judge = Judge([detector("video.black")], "cpu", 1)
    assert judge.judge(measures("audio", AUDIO, [0], [0.0], [0.1], [[1.0, 0, 0, 0, 0, 0]])) == []


def test_a_measure_that_is_missing_is_named(judge):
    with pytest.raises(MeasureError, match=r"video\.freeze cannot judge: nothing measures mafd"):
        judge.judge(measures("video", ("black_ratio",), [0], [0.0], [0.0], [[1.0]]))
    with pytest.raises(MeasureError, match="quiet_lead, quiet_tail"):
        judge.judge(measures("audio", ("quiet",), [0], [0.0], [0.1], [[1.0]]))


def test_masters_may_be_declared_later_but_not_in_a_circle():
    black, freeze = detector("video.black"), detector("video.freeze")
    assert [d.name for d in Judge([freeze, black], "cpu", 1)._tracks["video"].detectors] == [black.name, freeze.name]
    with pytest.raises(ConfigError, match=r"in a circle: video\.black, video\.freeze"):
        Judge([freeze, replace(black, dominated_by=("video.freeze",))], "cpu", 1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_batches_do_not_matter(seed, streams):
    """Each stream alone, and all together in random company and order: the same transitions."""
    chance = random.Random(seed)
    numbers = np.random.default_rng(seed)
    rows = []
    for _ in range(streams):
        quiet = numbers.integers(0, 2, 5).repeat(30)
        dark = numbers.integers(0, 2, 5).repeat(30)
        rows.append(
            [picture(n / 12, 0.0 if q else 0.5, float(d)) for n, (q, d) in enumerate(zip(quiet, dark, strict=True))]
        )
    together, alone = Judge(JUDGED, "cpu", streams), []
    for slot in range(streams):
        together.open_slot(slot, RULES)
        single = Judge(JUDGED, "cpu", streams)
        single.open_slot(slot, RULES)
        alone.append(video(rows[slot], single, slot))
    found = [[] for _ in range(streams)]
    at = [0] * streams
    while any(at[slot] < len(rows[slot]) for slot in range(streams)):
        slots = [s for s in range(streams) if at[s] < len(rows[s]) and chance.random() < 0.6]
        chance.shuffle(slots)
        taken = [rows[s][at[s]] for s in slots]
        batch = measures("video", VIDEO, slots, [t[0] for t in taken], [t[1] for t in taken], [t[2] for t in taken])
        for t in together.judge(batch):
            found[t.slot].append((t.slot, t.detector, t.kind, round(t.at, 6)))
        for s in slots:
            at[s] += 1
    assert found == alone


@pytest.mark.gpu
def test_a_gpu_gives_the_same_and_little_crosses():
    rows = [picture(n / 25, 0.5 if n < 26 or n > 99 else 0.0, float(n > 120)) for n in range(200)]
    host, device = Judge(JUDGED, "cpu", 2), Judge(JUDGED, "cuda", 2)
    for made in (host, device):
        made.open_slot(1, RULES)
    expected, waiting = [], []
    for start, until, values in rows:
        expected += host.judge(measures("video", VIDEO, [1], [start], [until], [values]))
        waiting.append(device.submit(measures("video", VIDEO, [1], [start], [until], [values], "cuda")))
    assert [t for pending in waiting for t in pending.transitions()] == expected
    assert device.device_to_host_bytes <= 4 * len(rows) + 200 * len(expected)
    assert device.close_slot(1, 8.0) == host.close_slot(1, 8.0)


def test_other_rules_take_effect_and_what_is_open_goes_on_or_is_closed_where_its_detector_leaves(judge):
    rows = [picture(n / 25, mafd=0.0, black=1.0 if n > 80 else 0.0) for n in range(200)]
    assert video(rows[:60], judge) == [(0, "video.freeze", "opened", 0.0)]
    ends = {"video": 2.4, "audio": 2.4, "stream": 2.4}
    other = detector("video.freeze").rule({"duration": 9.0})
    assert judge.change_rules(0, RULES | {"video.freeze": other}, ends) == []
    assert video(rows[60:80], judge) == []  # it is open, and goes on
    [closed] = judge.change_rules(0, {"video.black": RULES["video.black"]}, ends | {"video": 3.2})
    assert (closed.detector, closed.kind, closed.at) == ("video.freeze", "closed", 3.2)
    found = video(rows[80:], judge)
    assert found == [(0, "video.black", "opened", 3.24)]
    assert judge.close_slot(0, 8.0)[0].detector == "video.black"


def test_a_suspended_detector_neither_judges_nor_closes_and_goes_on_later(judge):
    still = [picture(n / 25, mafd=0.0) for n in range(100)]
    moving = [picture(n / 25, mafd=0.5) for n in range(100, 300)]
    assert video(still, judge) == [(0, "video.freeze", "opened", 0.0)]
    ends = dict.fromkeys(("video", "audio", "stream"), 4.0)
    assert judge.change_rules(0, RULES, ends, suspended={"video.freeze"}) == []
    assert video(moving[:100], judge) == []
    assert judge.change_rules(0, RULES, dict.fromkeys(ends, 8.0)) == []
    assert video(moving[100:], judge) == [(0, "video.freeze", "closed", 8.0)]
