"""A stream beside its reference: what is found of fingerprints, and of real files."""

import re
from fractions import Fraction
from io import StringIO
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from made_programme import write_programme
from properties import given, settings, st

from engine.alignment import best_fit, correlation, in_one_thread, picture_signal, sound_signal
from engine.comparing import Comparing
from engine.fingerprints import BANDS, REGIONS, Fingerprint, Rows, SoundPrint
from engine.lip_sync import LipSync
from engine.measure.fingerprints import Fingerprints
from engine.media import AudioBlock
from engine.output import Table
from engine.pipeline import EngineSettings, StreamSpec, check
from engine.reference_sync import Compared, ReferenceSync
from engine.verdicts import Summary, SyncVerdict

LIMITS = {"late": 0.125, "early": 0.045, "duration": 0.0}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    with in_one_thread():
        yield


def smooth(rng, seconds, width, *, rate=100, spread=1.0):
    """Values of `width` quantities that wander, every 10 ms."""
    steps = rng.normal(0, spread, (round(seconds * rate), width))
    steps[rng.integers(0, len(steps), len(steps) // 200)] *= 8
    return np.cumsum(steps, axis=0)


def pictures_of(content, rate, delay=0.0, *, repeats=1):
    """Rows of pictures that show content at their own moments, `repeats` times each; and their times."""
    count = int((len(content) / 100) * rate / repeats)
    shown = np.repeat(np.arange(count) * repeats / rate, repeats)[: count * repeats]
    pts = np.arange(len(shown)) / rate
    rows = np.stack([np.interp(shown, np.arange(len(content)) / 100, column) for column in content.T], axis=1)
    return pts + delay, torch.tensor(rows, dtype=torch.float32)


def kept(times, values):
    rows = Rows(values.shape[1], torch.device("cpu"))
    rows.append(times, values)
    return rows


def found_delay(own, other, window=(20.0, 50.0), signal=picture_signal):
    """Where a window of one is in the other, in seconds of delay; and how well it fits there and elsewhere."""
    first, count = round(100 * window[0]), round(100 * (window[1] - window[0]))
    here = signal(*own, first, count)
    there = signal(*other, 0, round(100 * other[0][-1]))
    place, fits = correlation(here, there)
    at, fit, second = best_fit(fits, 0, len(fits)).tolist()
    return (first - place - at) / 100, fit, second


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    delay=st.floats(-9.5, 9.5),
    rates=st.sampled_from([(25, 25), (25, 50), (50, 25), (30, 29.97), (29.97, 25), (24, 60), (10, 25)]),
)
def test_the_delay_of_pictures_is_found_within_half_of_one(seed, delay, rates):
    content = 0.01 * smooth(np.random.default_rng(seed), 70, REGIONS)
    reference, own = pictures_of(content, rates[0]), pictures_of(0.8 * content + 0.1, rates[1], delay)
    found, fit, second = found_delay(own, reference)
    assert found == pytest.approx(delay, abs=0.5 / min(rates))
    assert fit > 0.5 > second


def test_pictures_shown_twice_are_not_late():
    content = 0.01 * smooth(np.random.default_rng(5), 70, REGIONS)
    once, twice = pictures_of(content, 25), pictures_of(content, 50, repeats=2)
    assert found_delay(twice, once)[0] == pytest.approx(0.0, abs=0.002)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_another_content_fits_nowhere(seed):
    rng = np.random.default_rng(seed)
    one, other = (0.01 * smooth(rng, 70, REGIONS) for _ in range(2))
    _, fit, _ = found_delay(pictures_of(one, 25), pictures_of(other, 25))
    assert fit < 0.4


def test_what_stands_still_is_no_activity():
    pts = np.arange(1000) / 25
    rows = torch.full((1000, REGIONS), 0.5) + 1e-5 * torch.randn(1000, REGIONS)
    assert picture_signal(pts, rows, 500, 3000).activity() < 0.02


def test_a_gap_is_not_known():
    pts = np.arange(1000) / 25
    rows = torch.tensor(0.01 * smooth(np.random.default_rng(1), 10, REGIONS), dtype=torch.float32)
    there = (pts < 10) | (pts > 15)
    signal = picture_signal(pts[there], rows[torch.from_numpy(there)], 0, 3000)
    assert signal.known[1100:1400].sum() == 0
    assert signal.known[300:900].mean() == 1
    assert signal.values[:, 1100:1400].abs().sum() == 0


def printed(samples, start=0.0, size=4800):
    """Times and rows of sound that comes in blocks."""
    sound, rows = SoundPrint(), Rows(BANDS, torch.device("cpu"))
    for at in range(0, samples.shape[1], size):
        part = samples[:, at : at + size]
        whole = np.zeros((samples.shape[0], size), np.float32)
        whole[:, : part.shape[1]] = part
        weights = (1.0,) * samples.shape[0]
        sound.take(AudioBlock("", start + at / 48000, whole, part.shape[1], weights, 1.0))
        sound.taken(rows)
    return rows.between(-1e9, 1e9)


def sounds(seconds, seed=0, channels=2):
    """Noise in bursts."""
    rng = np.random.default_rng(seed)
    level = np.interp(
        np.arange(round(48000 * seconds)), 4800 * np.arange(10 * seconds), rng.exponential(1, round(10 * seconds))
    )
    one = (0.1 * level * rng.normal(0, 1, len(level))).astype(np.float32)
    return np.repeat(one[None], channels, axis=0)


def test_rows_of_sound_do_not_depend_on_the_blocks():
    samples = sounds(3.0)
    times, rows = printed(samples)
    assert np.diff(times) == pytest.approx(0.01)
    other_times, other_rows = printed(samples, size=1231)
    assert other_times[: len(times)] == pytest.approx(times, abs=1e-9)
    assert torch.allclose(rows, other_rows[: len(rows)], atol=1e-4)


def test_channels_out_of_phase_are_heard():
    samples = sounds(2.0)
    samples[1] *= -1
    assert torch.allclose(printed(samples)[1], printed(np.abs(np.sign(samples)) * sounds(2.0))[1], atol=1e-4)


@settings(max_examples=12, deadline=None)
@given(delay=st.floats(-9.5, 9.5), gain=st.floats(0.05, 1.0), seed=st.integers(0, 100))
def test_the_delay_of_sound_is_found_to_milliseconds(delay, gain, seed):
    samples = sounds(55.0, seed, channels=1)
    found, fit, second = found_delay(printed(gain * samples, start=delay), printed(samples), signal=sound_signal)
    assert found == pytest.approx(delay, abs=0.002)
    assert fit > 0.8 > 0.5 > second


def fingerprint(content, samples, delays=(0.0, 0.0), rate=25):
    made = Fingerprint(kept(*pictures_of(content, rate, delays[0])))
    made.sound.append(*printed(samples, start=delays[1]))
    return made


@pytest.mark.parametrize(("seen", "heard"), [(0.0, 0.08), (3.2, -5.7), (-20.0, -20.04)])
def test_the_offset_is_what_sound_is_later_than_pictures(seen, heard):
    content, samples = 0.01 * smooth(np.random.default_rng(3), 90, REGIONS), sounds(90.0, 3)
    reference, own = fingerprint(content, samples), fingerprint(content, samples, (seen, heard))
    for one in (reference, own):
        one.ended = True
    windows = ReferenceSync(own, lambda: reference, live=lambda: False).settled(85.0)
    told = [one for one in windows if one.until >= 40]
    assert [one.offset for one in told] == [pytest.approx(heard - seen, abs=0.01)] * len(told)
    assert [one.latency for one in told] == [pytest.approx(seen, abs=0.01)] * len(told)
    assert all(one.same for one in told)


def test_it_makes_no_difference_which_of_two_files_comes_first():
    content, samples = 0.01 * smooth(np.random.default_rng(4), 150, REGIONS), sounds(150.0, 4)
    pictures, (times, rows) = pictures_of(content, 25), printed(samples)

    def compared(order):
        prints = {name: Fingerprint(Rows(REGIONS, torch.device("cpu"))) for name in "ab"}
        sync = ReferenceSync(prints["b"], lambda: prints["a"], live=lambda: False)
        found, until = [], {"a": 0.0, "b": 0.0}
        for name, to in order:
            here, there = (pictures[0] >= until[name]) & (pictures[0] < to), (times >= until[name]) & (times < to)
            prints[name].pictures.append(pictures[0][here], pictures[1][torch.from_numpy(here)])
            prints[name].sound.append(times[there], rows[torch.from_numpy(there)])
            until[name] = to
            prints[name].ended = to >= 150
            found += sync.settled(until["b"])
            prints["b"].forget(sync.needed_from)
            prints["a"].forget(sync.reference_needed_from(prints["a"]))
        return found

    first = compared([("a", 150), *(("b", to) for to in range(10, 151, 10))])
    last = compared([("b", 150), *(("a", to) for to in range(10, 151, 10))])
    assert len(first) == 71
    assert first == last


def test_what_waits_for_a_reference_for_ever_keeps_little():
    rng = np.random.default_rng(0)
    pictures = Fingerprints(torch.device("cpu"))
    comparing = Comparing(pictures, torch.device("cpu"), 240.0)
    for slot, name in enumerate(("alone", "asked")):
        comparing.enter(name, slot, SimpleNamespace(info=None, print=None))
    alone, asked = comparing.compare("alone", "absent"), comparing.compare("asked", "alone")
    for start in range(0, 3600, 100):
        times = start + np.arange(2500) / 25
        for slot in range(2):
            pictures.kept(slot).append(times, torch.tensor(rng.normal(0, 1, (2500, REGIONS)), dtype=torch.float32))
        assert alone.settled(0.0) == asked.settled(0.0) == []  # neither was ever opened
        comparing.forget()
    for slot in range(2):
        assert 25 * 239 <= len(pictures.kept(slot).between(0.0, 3600.0)[0]) <= 25 * 241
        assert pictures.kept(slot).capacity <= 25 * 1400


def test_a_reference_that_goes_on_is_waited_for_no_longer_than_it_is_needed():
    content = 0.01 * smooth(np.random.default_rng(4), 300, REGIONS)
    pictures, (times, rows) = pictures_of(content, 25), printed(sounds(300.0, 4))
    prints = {name: Fingerprint(Rows(REGIONS, torch.device("cpu"))) for name in "ab"}
    sync = ReferenceSync(prints["b"], lambda: prints["a"], live=lambda: False)

    def take(name, begin, to):
        here, there = (pictures[0] >= begin) & (pictures[0] < to), (times >= begin) & (times < to)
        prints[name].pictures.append(pictures[0][here], pictures[1][torch.from_numpy(here)])
        prints[name].sound.append(times[there], rows[torch.from_numpy(there)])

    take("b", 0, 60)
    prints["b"].ended = True
    assert sync.settled(60.0) == []
    assert sync.waits()
    judged = 0
    for begin in range(0, 300, 20):  # it never ends
        take("a", begin, begin + 20)
        judged += len(sync.settled(60.0))
        if not sync.waits():
            break
    assert judged == 26  # one every two seconds from 10 to 60
    assert begin + 20 <= 160


def test_a_window_that_stands_alone_is_not_told():
    sync = ReferenceSync(Fingerprint(Rows(REGIONS, torch.device("cpu"))), lambda: None, live=lambda: False)
    windows = [Compared(15.0 + 2 * k, 30.0 + 2 * k, offset, 0.0, 0.9, True)
               for k, offset in enumerate([0.0, 0.001, 0.5, 0.002, 0.003, 0.3, 0.301])]  # fmt: skip
    told = [one.at for window in windows for one in sync.agreeing(window)]
    assert told == [15.0, 17.0, 21.0, 23.0, 25.0, 27.0]


def judged(reference, *others, detectors=("av.sync", "av.reference_mismatch")):
    specs = [StreamSpec("reference", str(reference), {name: {} for name in detectors})]
    specs += [StreamSpec(str(path), str(path), {name: {} for name in detectors}, reference="reference")
              for path in others]  # fmt: skip
    outcomes = check(specs, EngineSettings(device="cpu"))
    assert [one.error for one in outcomes] == [None] * len(specs)
    return outcomes


def test_files_of_other_coding_are_compared(tmp_path):
    reference = write_programme(tmp_path / "contribution.mkv", 1)
    clean = write_programme(tmp_path / "clean.mp4", 1, rate=50, size=(200, 112))
    late = write_programme(
        tmp_path / "late.ts", 1, rate=Fraction(30000, 1001), size=(96, 72), sound_late=0.2, codecs=("mpeg2video", "mp2")
    )
    other = write_programme(tmp_path / "other.mp4", 2)
    outcomes = judged(reference, clean, late, other)
    assert outcomes[0].summary.av_sync == {"offset_ms": None, "confidence": 0.0, "verdict": "unknown"}
    in_sync, out, mismatched = (one.summary.av_sync for one in outcomes[1:])
    assert in_sync["verdict"] == "in_sync"
    assert in_sync["offset_ms"] == pytest.approx(0, abs=20)
    assert (in_sync["way"], in_sync["same_programme"]) == ("reference", True)
    assert in_sync["latency_ms"] == pytest.approx(0, abs=20)
    assert outcomes[1].incidents == []
    assert (out["verdict"], out["same_programme"]) == ("out_of_sync", True)
    assert out["offset_ms"] == pytest.approx(200, abs=20)
    assert [one.detector for one in outcomes[2].incidents] == ["av.sync"]
    assert "ms late (against reference)" in outcomes[2].incidents[0].cause
    assert mismatched["offset_ms"] is None
    assert (mismatched["verdict"], mismatched["same_programme"]) == ("unknown", False)
    assert [one.detector for one in outcomes[3].incidents] == ["av.reference_mismatch"]
    assert outcomes[3].incidents[0].cause == "neither pictures nor sound are those of reference"


def test_a_pattern_counts_before_the_reference():
    class Pattern:
        def settled(self, *, last=False):
            return []

        def verdict(self, late, early):
            return {"offset_ms": 80.0, "confidence": 1.0, "verdict": "in_sync"}

    class Reference:
        def verdict(self, late, early):
            return {"offset_ms": 0.0, "confidence": 0.9, "verdict": "in_sync", "latency_ms": 3.0,
                    "same_programme": True}  # fmt: skip

    found = LipSync(Pattern(), Reference(), "a").summary(LIMITS)
    assert (found["offset_ms"], found["way"], found["latency_ms"]) == (80.0, "pattern", 3.0)
    assert LipSync(None, Reference(), "a").summary(LIMITS)["way"] == "reference"


def test_what_was_told_holds_for_a_minute_unless_the_programme_is_another_one():
    sync = ReferenceSync(Fingerprint(Rows(REGIONS, torch.device("cpu"))), lambda: None, live=lambda: True)
    lips = LipSync(None, sync, "a")
    assert lips.now(30.0, LIMITS).verdict == "unknown"
    for k in range(2):
        sync.agreeing(Compared(15.0 + 2 * k, 30.0 + 2 * k, 0.2, 1.5, 0.9, True))
    sync.agreeing(Compared(19.0, 34.0, None, None, 0.0, None))  # a moment of nothing to judge by
    held = lips.now(35.0, LIMITS)
    assert (held.verdict, held.offset_ms, held.latency_ms, held.way) == ("out_of_sync", 200.0, 1500.0, "reference")
    assert lips.now(93.0, LIMITS) == SyncVerdict("unknown")
    sync.agreeing(Compared(21.0, 36.0, None, None, 0.0, False))
    assert lips.now(37.0, LIMITS) == SyncVerdict("unknown", same_programme=False)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"offset_ms": 200.4, "verdict": "out_of_sync", "latency_ms": 3000.2, "same_programme": True},
         ["+200 ms (out)", "3.00 s"]),
        ({"offset_ms": -3.0, "verdict": "in_sync"}, ["-3 ms", "-"]),
        ({"offset_ms": None, "verdict": "unknown", "latency_ms": None, "same_programme": False},
         ["another programme", "-"]),
        ({"offset_ms": None, "verdict": "unknown"}, []),
    ],
)  # fmt: skip
def test_the_table_has_what_is_known_of_sync(said, shown):
    out = StringIO()
    table = Table(out)
    table.summary(Summary("s", 1, 1, 1.0, 0, 1.0, 1.0, 1.0, "software", "cpu", None, {"confidence": 0.9, **said}))
    table.finish(["s"])
    head, row = (line for line in out.getvalue().splitlines() if line.strip().startswith(("stream", "s ")))
    assert ("latency" in head) == bool(shown)
    assert re.split(r"\s{2,}", row.rstrip())[-2:] == (shown or ["-", "-"])
