"""Names of files say what is in them, and what they take the place of."""

from hypothesis import given
from hypothesis import strategies as st
from verdict_rows import NOON

from engine.store import parts
from engine.store.parts import Part


def test_a_name_reads_back_as_its_part():
    part = parts.part_of(41, "1f0c9a2b", [NOON + 5.5, NOON + 1.2])
    assert part.name.endswith("/hour=12/part-120001-1f0c9a2b-00000041-00000041.parquet")
    assert parts.parse(part.name) == part
    assert parts.parse(part.name + ".writing") is None
    assert parts.parse("notes.txt") is None


def test_a_merged_file_takes_the_place_of_what_it_holds_and_of_nothing_else():
    one, two, three = (Part("2026-11-27", 12, f"1200{n:02d}", n, n, "aaaaaaaa") for n in (1, 2, 3))
    other = Part("2026-11-27", 12, "120001", 1, 1, "bbbbbbbb")
    later = Part("2026-11-27", 13, "130000", 2, 2, "aaaaaaaa")
    merged = Part("2026-11-27", 12, "120001", 1, 2, "aaaaaaaa")
    assert set(parts.newest([one, two, three, other, later, merged])) == {merged, three, other, later}


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 4)), min_size=1, max_size=12, unique=True))
def test_every_batch_that_is_there_stays_readable(spans):
    given_parts = [Part("2026-11-27", 12, "120000", first, first + more, "aaaaaaaa") for first, more in spans]
    kept = parts.newest(given_parts)
    held = {n for part in kept for n in range(part.first, part.last + 1)}
    assert held == {n for part in given_parts for n in range(part.first, part.last + 1)}
    assert not any(a != b and a.first <= b.first and b.last <= a.last for a in kept for b in kept)


def test_hours_are_left_out_that_lie_outside_a_range():
    part = Part("2026-11-27", 12, "120000", 1, 1, "aaaaaaaa")
    begins = part.hour_begins
    assert part.within(begins + 3599, begins + 4000)
    assert part.within(begins - 10, begins + 0.5)
    assert not part.within(begins + 3600, None)
    assert not part.within(None, begins)


def test_dates_are_all_days_that_a_range_touches():
    assert len(parts.dates(NOON, NOON)) == 1
    assert len(parts.dates(NOON, NOON + 43200)) == 1
    assert len(parts.dates(NOON, NOON + 43201)) == 2
