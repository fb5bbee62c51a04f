"""Who judges what is decided once, whatever happens at the same time."""

import threading

import pytest

from engine.store.owners import LEASE_SECONDS, NOTICE_SECONDS, Owners, UnitPlan


@pytest.fixture
def table(database):
    """The tables."""
    return Owners(database)


@pytest.fixture
def clock(monkeypatch):
    """Unix seconds that the test moves; for every database."""

    class Clock:
        now = 1_000_000.0

    monkeypatch.setattr(Owners, "_now", lambda self, connection: Clock.now)
    return Clock


def want(table, *names, **more):
    table.want([UnitPlan(name, 0, {"id": name}, together=name, **more) for name in names])


def start(table, name):
    incarnation = table.register(name, "node", {}, {}, died=False)
    assert incarnation is not None
    assert table.renew(name, incarnation, {"ready": True, "capacity": 10.0})
    return incarnation


def unit(table, name="s"):
    return next(one for one in table.units() if one.stream == name)


def test_an_engine_owns_what_it_was_given_from_now_on(table, clock):
    want(table, "s")
    life = start(table, "a")
    assert table.give({("s", 0): (0, "a")}) == 1
    mine = table.mine("a", life)
    assert [one.key for one in mine.units] == [("s", 0)]
    assert mine.units[0].epoch == 1
    assert mine.units[0].owned_from == clock.now
    assert mine.lease_until == clock.now + LEASE_SECONDS


def test_what_is_owned_is_given_to_nobody_until_the_lease_has_ended(table, clock):
    want(table, "s")
    start(table, "a")
    start(table, "b")
    table.give({("s", 0): (0, "a")})
    assert table.give({("s", 0): (1, "b")}) == 0
    clock.now += LEASE_SECONDS + 0.01
    life = start(table, "b")
    assert table.give({("s", 0): (1, "b")}) == 1
    now = unit(table)
    assert (now.owner, now.owner_incarnation, now.before, now.epoch) == ("b", life, "a", 2)
    assert now.owned_from == clock.now


def test_a_decision_that_saw_an_older_epoch_does_nothing(table, clock):
    want(table, "s")
    start(table, "a")
    start(table, "b")
    assert table.give({("s", 0): (0, "a")}) == 1
    clock.now += LEASE_SECONDS + 1
    start(table, "b")
    assert table.give({("s", 0): (0, "b")}) == 0
    assert unit(table).owner == "a"


def test_who_is_ready_takes_over_at_a_moment_that_both_know_before(table, clock):
    want(table, "s")
    first, second = start(table, "a"), start(table, "b")
    table.give({("s", 0): (0, "a")})
    clock.now += 1.0
    assert table.prepare({("s", 0): (1, "b")}) == 1
    assert unit(table).owner == "a"
    # Nobody else can take it over.
    assert table.take_over("a", first, {("s", 0): 1}) == 0
    assert table.take_over("b", second, {("s", 0): 1}) == 1
    now = unit(table)
    assert (now.owner, now.before, now.epoch, now.next) == ("b", "a", 2, None)
    assert now.owned_from == clock.now + NOTICE_SECONDS
    # The one before still sees it, to bring what belongs to its time.
    assert [one.key for one in table.mine("a", first).units] == [("s", 0)]


def test_a_process_that_comes_back_under_the_same_name_owns_nothing(table, clock):
    want(table, "s")
    start(table, "a")
    table.give({("s", 0): (0, "a")})
    # It is not known to be dead: its lease has to end first.
    assert table.register("a", "node", {}, {}, died=False) is None
    life = table.register("a", "node", {}, {}, died=True)
    assert life == 2
    assert not table.mine("a", life).units
    assert table.mine("a", 1).lease_until == 0.0
    assert not table.renew("a", 1, {})
    assert table.overview().owner(unit(table)) is None


def test_units_that_are_wanted_otherwise_keep_their_owner(table, clock):
    want(table, "s")
    start(table, "a")
    table.give({("s", 0): (0, "a")})
    want(table, "s")
    assert unit(table).revision == 1
    want(table, "s", priority=90)
    assert (unit(table).revision, unit(table).owner) == (2, "a")
    table.want_no_more("s")
    assert not table.units()


def test_who_has_no_room_is_told_so_and_stops_in_time(table, clock):
    want(table, "s")
    life = start(table, "a")
    table.give({("s", 0): (0, "a")})
    clock.now += 10.0
    table.register("a", "node", {}, {}, died=False)
    assert table.refuse({("s", 0): (1, "no room")}) == 1
    now = unit(table)
    assert (now.owner, now.before, now.refused) == (None, "a", "no room")
    assert now.owned_from == clock.now + NOTICE_SECONDS
    assert life == 1


def test_what_another_owns_does_not_count_in_the_transaction_that_would_keep_it(table, clock):
    want(table, "s")
    first, second = start(table, "a"), start(table, "b")
    table.give({("s", 0): (0, "a")})
    table.prepare({("s", 0): (1, "b")})
    table.take_over("b", second, {("s", 0): 1})
    change = clock.now + NOTICE_SECONDS
    with table._database.read() as connection:
        assert table.counts(connection, "s", "a", first, change - 0.5)
        assert not table.counts(connection, "s", "a", first, change + 1.5)
        assert table.counts(connection, "s", "b", second, change)
        assert not table.counts(connection, "s", "c", 1, change)
        assert not table.counts(connection, "other", "b", second, change)


def test_many_coordinators_at_once_give_each_unit_away_once(table):
    names = [f"s{i}" for i in range(40)]
    want(table, *names)
    lives = {name: start(table, name) for name in ("a", "b", "c", "d")}
    done = []

    def give(name):
        done.append(table.give({(one, 0): (0, name) for one in names}))

    threads = [threading.Thread(target=give, args=(name,)) for name in lives]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(done) == len(names)
    assert {one.epoch for one in table.units()} == {1}


def test_the_clock_is_the_databases_own(table):
    before = table.overview().now
    after = table.overview().now
    assert before <= after < before + 60.0
