"""An object store: what a directory does, and what happens while it is away."""

import time

import pytest
from object_store import ObjectStore
from verdict_rows import NOON, row, second, wait_until

from engine.errors import ConfigError, StoreError
from engine.store.objects import NotThere, Stored, open_objects
from engine.store.parquet import VerdictSettings, VerdictStore
from engine.store.questions import ask
from engine.store.spool import Spool
from engine.store.upkeep import Upkeep, expire
from engine.store.verdict_reader import VerdictReader

pytestmark = pytest.mark.slow  # the server takes seconds to start

REQUEST_SECONDS = 1.0
STREAMS = 20


@pytest.fixture(scope="module", params=["s3", "gs", "az"])
def server(request, tmp_path_factory):
    store = ObjectStore(request.param, tmp_path_factory.mktemp("server"))
    yield store
    store.close()


@pytest.fixture
def settings(server, tmp_path):
    return VerdictSettings(
        f"{server.kind}://verdicts/{tmp_path.name}", tmp_path / "spool", server.options, flush_seconds=0.5,
        request_seconds=REQUEST_SECONDS,
    )  # fmt: skip


def bucket(settings):
    return open_objects(settings.place, settings.options, settings.request_seconds)


def test_objects_are_kept_listed_read_by_range_and_deleted(settings, tmp_path):
    objects = bucket(settings)
    content = bytes(range(256)) * 40_000  # larger than what is fetched whole
    (tmp_path / "file").write_bytes(content)
    assert objects.put("date=2026-11-27/hour=01/a", b"small") == 5
    assert objects.put("date=2026-11-28/hour=01/b", tmp_path / "file") == len(content)
    assert objects.get("date=2026-11-27/hour=01/a") == b"small"
    assert sorted(stored.name for stored in objects.walk("date=2026-11-27")) == ["date=2026-11-27/hour=01/a"]
    assert objects.folders() == ["date=2026-11-27", "date=2026-11-28"]
    file = objects.open(Stored("date=2026-11-28/hour=01/b", len(content)))
    file.seek(5_000_001)
    assert file.read(300) == content[5_000_001:5_000_301]
    assert expire(objects, NOON + 400 * 86400, 30) == 2
    assert list(objects.walk()) == []
    with pytest.raises(NotThere):
        objects.get("date=2026-11-27/hour=01/a")
    objects.delete(["date=2026-11-27/hour=01/a"])


def test_a_store_that_hangs_is_waited_for_and_takes_everything_in_order(server, settings):
    store = VerdictStore(settings)
    store.start()
    sent, put = [], store._sender._objects.put
    store._sender._objects.put = lambda name, content: (put(name, content), sent.append(name))[0]
    try:
        at = 0

        def play(seconds):
            nonlocal at
            for _ in range(seconds):
                for stream in range(STREAMS):
                    store.put(second(f"s{stream}", at), "a", NOON + at)
                at += 1

        play(10)
        assert wait_until(lambda: store.snapshot()["sent_parts"] >= 1)
        server.freeze()
        try:
            for _ in range(6):
                play(60)
                time.sleep(0.8)
            assert wait_until(lambda: store.snapshot()["store_up"] == 0)
            waiting = store.snapshot()
            assert waiting["spool_parts"] >= 4
            assert waiting["spool_dropped_seconds"] == 0
            assert store.problem() is None
        finally:
            server.thaw()
        media = 60.0 * waiting["spool_parts"]
        assert wait_until(lambda: store.snapshot()["store_up"] == 1, 40)
        began = time.monotonic()
        assert wait_until(lambda: store.snapshot()["spool_parts"] == 0, 40)
        assert media / (time.monotonic() - began) >= 10.0
    finally:
        assert store.stop()
    assert sent == sorted(sent)
    assert ask(
        VerdictReader(bucket(settings)), "SELECT count(*), count(DISTINCT (stream, second)) FROM seconds"
    ).rows == ((370 * STREAMS, 370 * STREAMS),)


def test_a_stop_while_the_store_hangs_ends_in_time_and_keeps_the_rest(server, settings):
    store = VerdictStore(settings)
    store.start()
    server.freeze()
    try:
        for n in range(30):
            store.put(second("s", n), "a", NOON + n)
        began = time.monotonic()
        assert not store.stop(drain_seconds=3.0)
        assert time.monotonic() - began < 3.0 + 2 * REQUEST_SECONDS
    finally:
        server.thaw()
    again = VerdictStore(settings)
    again.start()
    assert wait_until(lambda: again.snapshot()["sent_parts"] == 1)
    assert again.stop()
    assert len(VerdictReader(bucket(settings)).seconds("s", since=NOON, until=NOON + 60).items) == 30


def test_hours_are_merged_and_asked_in_a_bucket(settings):
    spool = Spool(settings.spool, 1 << 30)
    objects = bucket(settings)
    for batch in range(3):
        spool.append([row("s", 10 * batch + n, critical=["video.black"]) for n in range(10)])
        spool.finish_log()
        spool.make_parts()
        for part in spool.waiting():
            objects.put(part.name, spool.content(part))
            spool.sent(part)
    assert Upkeep(objects, spool, None, lambda: NOON + 7200).merge() == 3
    assert len(list(objects.walk())) == 1
    answer = ask(VerdictReader(objects), "worst", since=NOON, until=NOON + 3600)
    assert dict(zip(answer.columns, answer.rows[0], strict=True))["critical_seconds"] == 30
    spool.close()


def test_a_wrong_bucket_or_option_says_so_without_the_key(server):
    with pytest.raises(StoreError) as caught:
        list(open_objects(f"{server.kind}://nowhere/x", {**server.options, server.secret: "aHVzaA=="}, 2.0).walk())
    assert "aHVzaA" not in str(caught.value)
    assert "bucket" in str(caught.value)
    with pytest.raises(ConfigError, match="no_such_option"):
        open_objects(f"{server.kind}://verdicts", {"no_such_option": "1"})
    open_objects(f"{server.kind}://verdicts", {**server.options, "allow_http": "true"})
    with pytest.raises(ConfigError, match="cannot use object store"):  # the library panics at it
        open_objects("s3://verdicts", {"user_agent": "x"})
    with pytest.raises(ConfigError, match="ftp"):
        open_objects("ftp://verdicts")
