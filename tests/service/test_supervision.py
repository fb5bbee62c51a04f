"""When what died comes back, and who is to blame for it."""

from engine.service.supervision import Restarts, Suspicion, split, suspects


def test_a_process_comes_back_at_once_and_always_within_three_seconds():
    restarts = Restarts()
    delays = []
    for n in range(10):
        restarts.died(100.0 * n, lived_seconds=1.0)
        delays.append(restarts.due - 100.0 * n)
        restarts.started()
    assert delays[0] == 0.0
    assert delays == sorted(delays)
    assert max(delays) < 3.0
    assert restarts.count == 10
    restarts.died(5000.0, lived_seconds=3600.0)
    assert restarts.due == 5000.0


def test_suspects_are_those_that_were_worked_on_or_else_all():
    assert suspects({"b", "gone"}, ["a", "b", "c"]) == ["b"]
    assert suspects(set(), ["a", "b", "c"]) == ["a", "b", "c"]
    assert suspects({"gone"}, ["a", "b"]) == ["a", "b"]


def test_halving_finds_one_of_sixteen_in_four_deaths():
    streams = [f"s{n}" for n in range(16)]
    for _ in range(4):
        left, right = split(streams)
        assert sorted(left + right) == sorted(streams)
        streams = left if "s11" in left else right
    assert streams == ["s11"]


def test_deaths_count_within_their_window():
    suspicion = Suspicion()
    suspicion.deaths.extend([0.0, 50.0, 55.0, 59.0])
    assert suspicion.count(60.0, 60.0) == 4
    assert suspicion.count(61.0, 60.0) == 3
