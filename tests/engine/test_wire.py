"""Messages between processes: whole, bounded, and a stranger's end the connection."""

import os
import socket
import struct

import msgspec
import pytest

from engine.wire import MOST_FRAME_BYTES, MOST_KEPT_BYTES, MOST_SPARE_BYTES, VERSION, Channel, ConnectionLost


class Said(msgspec.Struct, tag=True, frozen=True):
    text: str


class Shown(msgspec.Struct, tag=True, frozen=True):
    content: bytes


Both = Said | Shown


@pytest.fixture
def ends():
    left, right = socket.socketpair()
    pair = Channel(left, Both), Channel(right, Both)
    yield pair
    for channel in pair:
        channel.close()


def exchanged(sender, receiver):
    """All that arrives of what the sender has queued."""
    got = []
    while True:
        done = sender.flush()
        got += receiver.receive()
        if done and not (more := receiver.receive()):
            return got
        got += more if done else []


def test_messages_arrive_whole_and_in_order_whatever_their_size(ends):
    sent = [Said("x" * 10), Shown(b"y" * 3_000_000), Said(""), Shown(b"")]
    for message in sent:
        assert ends[0].send(message)
    assert exchanged(*ends) == sent


def test_descriptors_come_along_in_the_order_of_their_messages(ends):
    pipes = [os.pipe() for _ in range(3)]
    for number, (_, end) in enumerate(pipes):
        ends[0].send(Said(str(number)), fds=(end,))
    assert [m.text for m in exchanged(*ends)] == ["0", "1", "2"]
    for begin, _ in pipes:
        got = ends[1].fds.popleft()
        os.write(got, b"here")
        assert os.read(begin, 10) == b"here"
        os.close(got)
        os.close(begin)


def test_what_may_be_lost_is_lost_where_nobody_reads_and_counted(ends):
    piece = Shown(bytes(1 << 20))
    taken = 0
    while ends[0].send(piece, spare=True):
        taken += 1
        assert taken < 20
    assert taken == MOST_SPARE_BYTES >> 20
    assert ends[0].dropped == 1
    assert ends[0].send(Said("this may not be lost"))
    for _ in range((MOST_KEPT_BYTES - MOST_SPARE_BYTES) >> 20):
        assert ends[0].send(piece)
    with pytest.raises(ConnectionLost):
        ends[0].send(piece)


def test_a_message_that_is_too_long_is_not_sent(ends):
    assert not ends[0].send(Shown(bytes(MOST_FRAME_BYTES + 1)))
    assert ends[0].dropped == 1


@pytest.mark.parametrize(
    "frame",
    [
        struct.pack("<IB", 4, VERSION + 1) + b"\x90\x90\x90\x90",
        struct.pack("<IB", 1 << 31, VERSION),
        struct.pack("<IB", 3, VERSION) + b"\xc1\xc1\xc1",
        struct.pack("<IB", 1, VERSION) + msgspec.msgpack.encode(7),
    ],
    ids=["another version", "too long", "no message", "another type"],
)
def test_what_cannot_be_understood_ends_the_connection(frame):
    stranger, ours = socket.socketpair()
    channel = Channel(ours, Both)
    stranger.sendall(frame)
    with pytest.raises(ConnectionLost):
        channel.receive()
    channel.close()
    stranger.close()


def test_the_end_of_the_other_side_is_seen_after_its_last_word(ends):
    ends[0].send(Said("last"))
    ends[0].flush()
    ends[0].close()
    assert ends[1].receive() == [Said("last")]
    with pytest.raises(ConnectionLost):
        ends[1].receive()
