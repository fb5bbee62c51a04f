"""When nobody is told: once, or every week on the wall's clock."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
import yaml

from engine.service.maintenance import named, suppressed
from engine.settings.maintenance import Window


def at(text, zone="Europe/Berlin"):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def weekly(**values):
    return Window(**({"start": "22:00", "end": "02:00", "days": ["sat"], "zone": "Europe/Berlin"} | values))


@pytest.mark.parametrize(
    ("moment", "holds"),
    [
        ("2026-03-07T21:59:59", False),  # a Saturday
        ("2026-03-07T22:00:00", True),
        ("2026-03-08T01:59:59", True),
        ("2026-03-08T02:00:00", False),
        ("2026-03-08T23:00:00", False),
        ("2026-03-06T23:00:00", False),
    ],
)
def test_a_weekly_window_crosses_midnight_with_the_day_on_which_it_begins(moment, holds):
    assert weekly().holds(at(moment)) is holds


def test_a_window_stays_on_the_wall_clock_when_summer_time_begins():
    window = Window(start="02:30", end="04:00", zone="Europe/Berlin")
    assert window.holds(at("2026-03-28T02:30:00"))
    assert window.holds(at("2026-03-29T03:59:00"))  # 02:30 does not exist that night
    assert not window.holds(at("2026-03-29T04:00:00"))
    assert Window(start="09:00", end="10:00", zone="Europe/Berlin").holds(at("2026-07-01T07:30:00", "UTC"))
    assert Window(start="09:00", end="10:00", zone="Europe/Berlin").holds(at("2026-01-01T08:30:00", "UTC"))


def test_a_window_that_happens_once_ends():
    window = Window(since="2026-03-01T22:00:00+01:00", until="2026-03-01T23:00:00+01:00")
    inside = at("2026-03-01T22:30:00")
    assert window.holds(inside)
    assert not window.holds(inside + 3600)
    assert window.over(inside + 3600)
    assert not window.over(inside)


def test_suppressing_counts_more_than_only_then():
    now = at("2026-03-07T23:00:00")
    on_air = weekly(mode="invert")
    off_air = weekly(mode="invert", days=["mon"])
    assert not suppressed([], now)
    assert not suppressed([on_air], now)
    assert suppressed([off_air], now)
    assert not suppressed([on_air, off_air], now)
    assert suppressed([on_air, weekly()], now)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "write until"),
        ({"start": "02:00"}, "start and end"),
        ({"days": ["mon"]}, "start and end"),
        ({"start": "02:00", "end": "03:00", "until": "2026-01-01T00:00:00Z"}, "since and until, or"),
        ({"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "not later"),
        ({"until": "2026-01-01T00:00:00"}, "offset"),
        ({"start": "25:00", "end": "03:00"}, "pattern"),
        ({"start": "02:00", "end": "03:00", "zone": "../../etc/passwd"}, "time zone"),
        ({"start": "02:00", "end": "03:00", "days": ["monday"]}, "mon"),
    ],
)
def test_a_window_that_is_none_is_refused(values, said):
    with pytest.raises(ValueError, match=said):
        Window.model_validate(values)


def test_a_window_is_the_same_however_yaml_reads_it():
    written = yaml.safe_load("{start: 22:30, end: 02:00, days: [sat]}")
    assert Window.model_validate(written) == Window(start="22:30", end="02:00", days=["sat"])
    once = yaml.safe_load("{until: 2026-03-01T22:00:00+01:00}")
    assert Window.model_validate(once).over(at("2026-03-01T22:00:00"))
    assert named(weekly()).id == named(weekly()).id != named(weekly(end="03:00")).id
