"""PostgreSQL goes away in the middle of work: what was kept stays, and the same store goes on when it is back."""

import time

import pytest

from engine.errors import StoreError
from engine.incidents import incident_id
from engine.store.records import Delivery
from engine.store.sql import Store
from engine.verdicts import Incident, Severity


def black(number):
    name, start = "video.black", 100.0 * number
    return Incident(incident_id("a", name, start), "a", name, Severity.CRITICAL, start, 1.0)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_restart_of_the_server_loses_nothing_and_needs_no_new_store(postgres, how):
    store = Store(postgres.database(), route=lambda record, change: [Delivery("hook")], damping_seconds=0.0)
    store.incidents.record(black(1), "opened")
    batch = store.outbox.claim("hook", lease_seconds=60)
    getattr(postgres, how)()
    with pytest.raises(StoreError, match="the database failed") as caught:
        store.incidents.record(black(2), "opened")
    assert "postgres@" not in caught.value.line().replace("postgres@127", "")
    postgres.start()
    store.incidents.record(black(2), "opened")
    store.outbox.delivered(batch)
    assert store.outbox.counts() == {("hook", "delivered"): 1, ("hook", "pending"): 1}
    store.close()


def test_a_transaction_that_the_server_breaks_off_leaves_nothing(postgres):
    url = postgres.database()
    store = Store(url, route=lambda record, change: [Delivery("hook")])
    name = url.rsplit("/", 1)[1]

    def break_off(record, change):
        postgres.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        return [Delivery("hook")]

    broken = Store(url, route=break_off)
    with pytest.raises(StoreError):
        broken.incidents.record(black(1), "opened")
    assert store.incidents.list().items == ()
    assert store.outbox.counts() == {}
    assert store.incidents.record(black(1), "opened").change == "opened"
    broken.close()
    store.close()


def test_nobody_waits_for_a_service_that_hangs_in_a_transaction(postgres, monkeypatch):
    monkeypatch.setattr("engine.store.database.STATEMENT_SECONDS", 1.0)
    monkeypatch.setattr("engine.store.database.IDLE_SECONDS", 3.0)
    url = postgres.database()
    hanging, waiting = Store(url), Store(url)
    transaction = hanging.database.write()
    transaction.__enter__()
    began = time.monotonic()
    with pytest.raises(StoreError, match="timeout"):
        waiting.incidents.record(black(1), "opened")
    assert time.monotonic() - began < 3
    time.sleep(4)  # PostgreSQL has ended the session by then
    assert waiting.incidents.record(black(1), "opened").change == "opened"
    with pytest.raises(StoreError):
        transaction.__exit__(None, None, None)
    hanging.close()
    waiting.close()


def test_the_servers_operators_see_who_it_is_and_may_set_limits_of_their_own(postgres):
    url = postgres.database()
    own = Store(f"{url}?application_name=tv&options=-c%20statement_timeout%3D77s")
    store = Store(url)
    for one, name, limit in ((own, "tv", "77s"), (store, "avjury", "30s")):
        with one.database.read() as connection:
            assert connection.exec_driver_sql("SHOW application_name").scalar() == name
            assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == limit
        one.close()


def test_a_server_that_is_not_there_is_told_without_the_password():
    with pytest.raises(StoreError) as caught:
        Store("postgresql://someone:hunter2@127.0.0.1:1/none")
    assert "hunter2" not in caught.value.line()
