"""Readers take turns: few at a time, first come first served, and nobody for ever."""

import threading
import time

import torch
from made_clips import make

from engine.decode.choose import DecoderChooser
from engine.ingest.source import Source
from engine.ingest.url_policy import UrlPolicy
from engine.media import Surface
from engine.queues import Bell
from engine.reader import StreamReader
from engine.turns import Turn, Turns


def waiting(turns, count):
    """Wait until so many wait for their turn."""
    deadline = time.monotonic() + 10
    while len(turns._waiting) < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_never_more_are_at_work_than_there_are_places():
    turns = Turns(2)
    guard = threading.Lock()
    at_work, most, done = 0, 0, 0

    def work():
        nonlocal at_work, most, done
        for _ in range(30):
            assert turns.enter(wait_seconds=60)
            with guard:
                at_work += 1
                most = max(most, at_work)
            time.sleep(0.0002)
            with guard:
                at_work -= 1
                done += 1
            turns.leave()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (most, done) == (2, 240)
    assert [turns.enter(0), turns.enter(0)] == [True, True]  # both places are free again
    assert not turns.enter(0)


def test_who_came_first_is_served_first():
    turns = Turns(1)
    assert turns.enter()
    order = []

    def work(name):
        assert turns.enter(wait_seconds=60)
        order.append(name)
        turns.leave()

    threads = []
    for name in range(4):
        threads.append(threading.Thread(target=work, args=(name,)))
        threads[-1].start()
        waiting(turns, name + 1)
    turns.leave()
    for thread in threads:
        thread.join(60)
    assert order == [0, 1, 2, 3]


def test_who_waits_in_vain_goes_on_without_and_takes_nobodys_place():
    turns = Turns(1)
    hangs, other = Turn(turns), Turn(turns)
    hangs.begin()
    began = time.monotonic()
    other.begin()
    assert time.monotonic() - began < 30
    other.end()
    assert not turns.enter(0)  # it is still in the hands of the one that hangs
    hangs.end()
    assert turns.enter(0)


def test_a_turn_may_be_ended_twice_and_begun_again():
    turns = Turns(1)
    turn = Turn(turns)
    turn.end()
    turn.begin()
    turn.begin()
    assert not turns.enter(0)
    turn.end()
    turn.end()
    assert turns.enter(0)
    assert not turns.enter(0)


def test_a_long_turn_lets_those_go_first_who_wait():
    turns = Turns(1)
    long = Turn(turns)
    long.begin()
    order = []

    def work():
        assert turns.enter(wait_seconds=60)
        order.append("short")
        turns.leave()

    thread = threading.Thread(target=work)
    thread.start()
    waiting(turns, 1)
    long._ends_at = 0.0  # as if it had worked on for long
    long.begin()
    order.append("long")
    long.end()
    thread.join(60)
    assert order == ["short", "long"]


def test_alone_it_is_always_its_turn():
    turn = Turn()
    turn.begin()
    turn.end()
    turn.begin()


class InTurn(Source):
    """A file whose packets are taken in turn, as a link's are."""

    turn: Turn

    def packets(self, *given):
        for packet in super().packets(*given):
            self.turn.begin()
            yield packet
        self.turn.end()


def test_a_reader_whose_queue_is_full_lets_others_work():
    turns = Turns(1)
    source = InTurn(str(make("turns.mp4")), stream="full", policy=UrlPolicy(allow_files=True))
    source.turn = Turn(turns)
    choose = DecoderChooser(torch.device("cpu"), 1)
    reader = StreamReader("full", source, choose.open, Bell(), turn=source.turn)
    reader.start()
    try:
        deadline = time.monotonic() + 30
        while not reader.video.full:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        assert turns.enter(wait_seconds=30)
    finally:
        reader.stop()
        for queue in (reader.video, reader.audio, reader.ticks):
            for item in queue.discard():
                if isinstance(item, Surface):
                    item.release()
        assert reader.join(10)
