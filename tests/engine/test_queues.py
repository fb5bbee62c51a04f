"""The bounded queue: order, bounds, close, failure, discard."""

import threading
import time

import pytest

from engine.queues import Bell, BoundedQueue, QueueClosed


def never():
    return False


def test_items_come_out_in_order_and_the_end_shows_only_after_the_last():
    queue = BoundedQueue(3, Bell())
    for item in (1, 2, 3):
        queue.put(item, never)
    queue.close()
    assert [queue.take(), queue.ended, queue.take(), queue.take()] == [1, False, 2, 3]
    assert queue.take() is None
    assert queue.ended


def test_a_full_queue_holds_its_producer_until_there_is_space():
    queue = BoundedQueue(1, Bell())
    queue.put("first", never)
    done = threading.Event()

    def produce():
        queue.put("second", never)
        done.set()

    thread = threading.Thread(target=produce)
    thread.start()
    assert not done.wait(0.05)
    assert queue.take() == "first"
    assert done.wait(5)
    thread.join(5)
    assert queue.take() == "second"
    assert queue.put_wait_seconds > 0


def test_a_consumer_that_takes_nothing_does_not_hold_its_producer_for_ever():
    queue = BoundedQueue(1, Bell())
    queue.put(1, never)
    with pytest.raises(TimeoutError, match=r"nothing was taken from a full queue for 0\.2 s"):
        queue.put(2, never, deadline_seconds=0.2)


def test_a_stopped_producer_gives_up():
    queue = BoundedQueue(1, Bell())
    queue.put(1, never)
    with pytest.raises(QueueClosed):
        queue.put(2, lambda: True)


def test_discard_returns_what_was_left_and_refuses_more():
    queue = BoundedQueue(2, Bell())
    queue.put(1, never)
    assert queue.discard() == [1]
    with pytest.raises(QueueClosed):
        queue.put(2, never)


def test_the_failure_of_the_producer_shows_in_the_consumer():
    queue = BoundedQueue(2, Bell())
    failure = RuntimeError("decoder died")
    queue.close(failure)
    queue.close()
    assert queue.failure is failure


def test_a_ring_before_the_wait_is_not_lost():
    bell = Bell()
    rings = bell.rings
    bell.ring()
    assert bell.wait(rings, 5)
    assert not bell.wait(bell.rings, 0.01)


def test_a_consumer_is_rung_for_several_together_and_at_the_close():
    bell = Bell()
    queue = BoundedQueue(4, bell, together=2)
    rings = bell.rings
    queue.put(1, never)
    assert not bell.wait(rings, 0.01)
    queue.put(2, never)
    assert bell.wait(rings, 5)
    assert [queue.take(), queue.take()] == [1, 2]
    rings = bell.rings
    assert queue.offer(3)
    assert not bell.wait(rings, 0.01)
    queue.close()
    assert bell.wait(rings, 5)
    assert queue.take() == 3


def test_a_producer_that_found_the_queue_full_goes_on_when_there_is_room_for_several():
    queue = BoundedQueue(4, Bell(), together=2)
    for item in (1, 2, 3, 4):
        queue.put(item, never)
    done = threading.Event()

    def produce():
        queue.put(5, never)
        done.set()

    thread = threading.Thread(target=produce)
    thread.start()
    while not queue._space._waiters:  # until it waits
        time.sleep(0.001)
    assert queue.take() == 1
    assert not done.wait(0.05)
    assert queue.take() == 2
    assert done.wait(0.4)  # before it would look by itself
    thread.join(5)
    assert [queue.take() for _ in range(4)] == [3, 4, 5, None]


def test_a_queue_that_holds_more_wakes_both_sides_for_as_many():
    bell = Bell()
    queue = BoundedQueue(2, bell, 2)
    queue.hold(6, 3)
    for item in range(2):
        queue.put(item, lambda: False)
    assert bell.rings == 0
    for item in range(2, 6):
        queue.put(item, lambda: False)
    assert bell.rings == 4
    assert not queue.offer(6)
    assert [queue.take() for _ in range(6)] == list(range(6))


def test_a_wait_for_several_rings_is_not_ended_by_fewer():
    bell = Bell()
    rings = bell.rings
    bell.ring()
    assert not bell.wait(rings, 0.01, times=2)
    ringing = threading.Timer(0.02, bell.ring)
    ringing.start()
    assert bell.wait(rings, 5, times=2)
    ringing.join()
    assert bell.wait(rings, 5)


def test_the_head_stays_until_it_is_taken():
    queue = BoundedQueue(2, Bell())
    assert queue.head() is None
    queue.put(1, never)
    queue.put(2, never)
    assert (queue.head(), queue.head(), queue.take(), queue.head()) == (1, 1, 1, 2)
