"""Python's garbage collector at the start of a process."""

import gc
import weakref

import pytest

from engine.startup import keep_what_is_loaded, nothing_is_garbage


class Ring:
    """Garbage that only the collector finds."""

    def __init__(self):
        self.own = self


@pytest.fixture(autouse=True)
def thawed():
    yield
    gc.unfreeze()
    gc.enable()


def test_what_is_made_at_the_start_is_not_looked_through_later():
    before = gc.get_freeze_count()
    with nothing_is_garbage():
        assert not gc.isenabled()
        kept = [Ring() for _ in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(kept)


def test_garbage_that_comes_later_is_found():
    with nothing_is_garbage():
        pass
    ring = weakref.ref(Ring())
    gc.collect()
    assert ring() is None


def test_a_failed_start_leaves_the_collector_as_it_was():
    gc.disable()
    with pytest.raises(ValueError, match="no such input"), nothing_is_garbage():
        raise ValueError("no such input")
    assert not gc.isenabled()
    gc.enable()
    with pytest.raises(ValueError, match="no such input"), nothing_is_garbage():
        raise ValueError("no such input")
    assert gc.isenabled()


def test_what_is_loaded_later_is_kept_once_in_a_process():
    keep_what_is_loaded.cache_clear()
    loaded = [Ring() for _ in range(1000)]
    keep_what_is_loaded()
    kept = gc.get_freeze_count()
    assert kept >= len(loaded)
    later = [Ring() for _ in range(1000)]
    keep_what_is_loaded()
    assert gc.get_freeze_count() == kept
    assert len(later) == len(loaded)
