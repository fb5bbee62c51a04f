"""`avjury bench clean-hours`: what is counted, and that a film goes the whole way in every form."""

import json
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import imageio_ffmpeg
import pytest

from benchmarks.clean_forms import FORMS, draw_strip, form_clip
from benchmarks.clean_hours import AS_IT_IS, Heard, alarms, judge_clip, summed, ways_of
from models.synthesis.picture import moving_pattern
from models.synthesis.picture_clip import write_pictures


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Three films, of which one is none."""
    folder = tmp_path_factory.mktemp("films")
    for name, size in (("one.mp4", (320, 240)), ("two.mp4", (400, 224))):
        write_pictures(folder / name, islice(moving_pattern(*size), 60), rate=Fraction(25))
    (folder / "none.mp4").write_bytes(b"no film")
    return sorted(folder.iterdir())


def test_incidents_close_together_are_one_alarm_and_every_folder_and_form_has_its_own():
    heard = [
        Heard("films", "a", AS_IT_IS, 1800.0, {"video.corruption": [(1.0, 2.0), (6.0, 6.5), (20.0, 21.0)]}),
        Heard("films", "a", "low light", 1800.0, {"video.freeze": [(3.0, 9.0)]}),
        Heard("games", "b", AS_IT_IS, 3600.0, {}),
    ]
    assert alarms([]) == 0
    assert alarms([(20.0, 21.0), (1.0, 2.0), (6.0, 6.5)]) == 2
    figures = summed(heard, "video.corruption")
    assert (figures["clips"], figures["streams"], figures["hours"], figures["hours_as_they_are"]) == (2, 3, 2.0, 1.5)
    assert (figures["false_alarms"], figures["false_per_hour"]) == (2, 1.0)
    assert figures["per_hour_at_most"] > figures["false_per_hour"]
    assert figures["folders"]["films"] == {"streams": 2, "hours": 1.0, "false_alarms": 2}
    assert figures["forms"]["low light"]["false_alarms"] == 0
    assert list(figures["raised"]) == [f"a, {AS_IT_IS}"]
    assert figures["told_by_others"] == {"video.corruption": 2, "video.freeze": 1}


def test_more_forms_of_a_clip_begin_with_those_of_fewer():
    clips = [Path(name) for name in ("a.mp4", "b.mp4", "c.mp4")]
    ways = ways_of(clips[0], clips, len(FORMS))
    assert ways_of(clips[0], clips, 2) == ways[:2]
    assert {form.name for form, _ in ways} == {form.name for form in FORMS}
    assert all(other != clips[0] for _, other in ways)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_every_form_is_a_film_no_longer_than_the_clip(form, films, tmp_path):
    strip, path = tmp_path / "strip.png", tmp_path / f"form{form.suffix}"
    draw_strip(strip)
    one, two = (film for film in films if film.name != "none.mp4")
    form_clip(one, two, form, path, 1.0, imageio_ffmpeg.get_ffmpeg_exe(), strip)
    with av.open(str(path)) as container:
        times = [float(picture.time) for picture in container.decode(video=0)]
    assert 0.9 <= times[-1] - times[0] + 1 / 24 <= 1.1


def test_a_film_is_judged_in_its_forms_what_is_none_is_named_and_nothing_is_judged_twice(films, tmp_path, capsys):
    one = next(film for film in films if film.name == "one.mp4")
    rest = [film for film in films if film.name != "none.mp4"]
    heard = judge_clip(one, clips=rest, forms=1, work=tmp_path)
    assert [(one.name, one.how) for one in heard] == [
        ("one.mp4", AS_IT_IS),
        ("one.mp4", ways_of(one, rest, 1)[0][0].name),
    ]
    assert all(2.0 <= one.seconds <= 2.5 for one in heard)
    kept = sorted(tmp_path.iterdir())
    assert len(kept) == 2
    changed = json.loads(kept[0].read_text()) | {"seconds": 7.0}
    kept[0].write_text(json.dumps(changed))
    assert 7.0 in [one.seconds for one in judge_clip(one, clips=rest, forms=1, work=tmp_path)]
    none = next(film for film in films if film.name == "none.mp4")
    assert judge_clip(none, clips=rest, forms=1, work=tmp_path) == []
    assert "none.mp4, as it is: left out" in capsys.readouterr().err
