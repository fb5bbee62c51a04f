"""Content that is drawn: the same for the same seed, of the rate that it says, and nothing is told of it."""

from dataclasses import replace
from fractions import Fraction
from itertools import islice, pairwise

import av
import numpy as np
import pytest

from benchmarks.made_content import CODERS, KINDS, SAMPLE_RATE, SECONDS, music, pictures, speech, write
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec

SMALL = (192, 112)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_is_the_same_for_its_seed_and_other_for_another(kind):
    small = replace(kind, size=SMALL)
    first, again, other = (next(islice(pictures(small, 2.0, seed), 20, None)) for seed in (1, 1, 2))
    assert [plane.shape for plane in first] == [(112, 192), (56, 96), (56, 96)]
    assert all(np.isfinite(plane).all() for plane in first)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert (first[0] != other[0]).any()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.drawn is not None], ids=lambda kind: kind.name)
def test_what_is_drawn_at_a_lower_rate_repeats_at_its_cadence(kind):
    shown = [y for y, _, _ in pictures(replace(kind, size=SMALL), 2.0, 1)]
    fresh = sum(a is not b and bool((a != b).any()) for a, b in pairwise(shown))
    assert fresh == pytest.approx(2 * kind.drawn, abs=1)


@pytest.mark.parametrize("make", [speech, music])
def test_sound_is_stereo_and_neither_clips_nor_is_one_channel(make):
    made = make(np.random.default_rng(1), 4.0)
    assert made.shape == (2, 4 * SAMPLE_RATE)
    assert 0.2 < abs(made).max() <= 0.7
    assert 0.03 < np.sqrt((made**2).mean()) < 0.09
    assert abs(made[0] - made[1]).max() > 0.01


@pytest.mark.parametrize("codec", CODERS)
def test_a_clip_has_the_pictures_and_the_sound_of_its_length(tmp_path, codec):
    kind = replace(next(kind for kind in KINDS if kind.codec == codec), size=SMALL)
    path = tmp_path / f"clip{CODERS[codec][1]}"
    write(kind, path, 1.5, 1)
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == round(1.5 * kind.rate)
    with av.open(str(path)) as container:
        heard = sum(Fraction(frame.samples, frame.sample_rate) for frame in container.decode(audio=0))
    assert float(heard) == pytest.approx(1.5, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_no_kind_raises_an_alarm(tmp_path, kind):
    path = tmp_path / f"clip{CODERS[kind.codec][1]}"
    write(kind, path, 8.0, 1)
    [outcome] = check([StreamSpec("made", str(path))], EngineSettings(device="cpu"))
    assert outcome.error is None
    assert [(incident.detector, incident.start) for incident in outcome.incidents] == []


@pytest.mark.parametrize(("name", "seed"), [("news with a ticker, 25", 711), ("somebody who speaks, 60", 705)])
def test_the_coder_of_the_sound_leaves_no_clicks(tmp_path, name, seed):
    """Temporal noise shaping of FFmpeg's AAC coder does, of these."""
    [kind] = [kind for kind in KINDS if kind.name == name]
    clip = tmp_path / f"clip{CODERS[kind.codec][1]}"
    write(replace(kind, size=SMALL), clip, SECONDS, seed)
    [outcome] = check([StreamSpec("clip", str(clip), {"audio.click": {}})], EngineSettings(device="cpu"))
    assert outcome.error is None
    assert outcome.incidents == []
