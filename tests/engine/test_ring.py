"""The ring between an ingest process and an engine: what goes in comes out, whole, in order, and never waits."""

import os
import random
import subprocess
import sys
import threading

import pytest

from engine.ingest.ring import RingBroken, RingReader, RingWriter, make_ring


def both_ends(size):
    memory, doorbell = make_ring(size)
    return RingWriter(os.dup(memory), os.dup(doorbell)), RingReader(memory, doorbell)


@pytest.fixture
def ring():
    writer, reader = both_ends(4096)
    yield writer, reader
    writer.close()
    reader.close()


def test_records_come_out_whole_and_in_order_around_the_end_many_times(ring):
    writer, reader = ring
    chance = random.Random(5)
    sent, got = [], []
    while len(sent) < 3000:
        content = chance.randbytes(chance.choice((0, 1, 7, 8, 100, 1500)))
        cut = chance.randint(0, len(content))
        if writer.write(len(sent), 3, content[:cut], memoryview(content)[cut:]):
            sent.append(content)
        else:
            got += [(r.number, r.content) for r in reader.read()]
    got += [(r.number, r.content) for r in reader.read()]
    assert got == list(enumerate(sent))


def test_a_full_ring_takes_nothing_and_loses_nothing(ring):
    writer, reader = ring
    count = 0
    while writer.write(count, 1, bytes(500)):
        count += 1
    assert 6 <= count <= 8
    assert not writer.write(99, 1, bytes(5000))  # larger than the whole ring
    assert [r.number for r in reader.read()] == list(range(count))
    assert writer.write(100, 1, bytes(500))


def test_many_threads_write_one_ring():
    writer, reader = both_ends(1 << 16)
    done = threading.Event()

    def write(number):
        for n in range(500):
            while not writer.write(number, n % 7, n.to_bytes(4, "little") * (n % 50)):
                pass

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    got = {number: [] for number in range(4)}

    def read():
        while not done.is_set() or sum(map(len, got.values())) < 2000:
            for record in reader.read():
                got[record.number].append(record.content)

    taker = threading.Thread(target=read)
    for thread in (*threads, taker):
        thread.start()
    for thread in threads:
        thread.join(60)
    done.set()
    taker.join(60)
    wanted = [n.to_bytes(4, "little") * (n % 50) for n in range(500)]
    assert all(contents == wanted for contents in got.values())
    writer.close()
    reader.close()


_WRITES_UNTIL_KILLED = """
import os, sys
from engine.ingest.ring import RingWriter
writer = RingWriter(int(sys.argv[1]), int(sys.argv[2]))
print("ready", flush=True)
n = 0
while True:
    n += writer.write(n, 1, n.to_bytes(8, "little") * 3000)
"""


def test_a_writer_that_is_killed_leaves_only_whole_records():
    memory, doorbell = make_ring(1 << 20)
    reader = RingReader(os.dup(memory), os.dup(doorbell))
    command = [sys.executable, "-c", _WRITES_UNTIL_KILLED, str(memory), str(doorbell)]
    with subprocess.Popen(command, pass_fds=(memory, doorbell), stdout=subprocess.PIPE) as writer:
        os.close(memory)
        os.close(doorbell)
        assert writer.stdout.readline() == b"ready\n"
        seen = 0
        while seen < 500:
            for record in reader.read():
                assert record.content == record.number.to_bytes(8, "little") * 3000
                seen += 1
        writer.kill()
    left = list(reader.read())
    assert all(r.content == r.number.to_bytes(8, "little") * 3000 for r in left)
    reader.close()


def test_what_no_writer_writes_is_an_error(ring):
    writer, reader = ring
    writer.write(1, 1, b"x" * 100)
    reader._data[0:4] = (13).to_bytes(4, "little")
    with pytest.raises(RingBroken):
        list(reader.read())


# What a fuzzer found once: counts that no writer has sent the reader through the ring for years.
@pytest.mark.parametrize(
    ("counts", "data"),
    [
        pytest.param({0: 1 << 40}, b"\xff" * 64, id="more than there is room for"),
        pytest.param({0: 8, 8: 16}, b"", id="more read than written"),
        pytest.param({0: 8}, b"\xff" * 64, id="a rest that was not written"),
    ],
)
def test_counts_that_no_writer_has_are_an_error(ring, counts, data):
    _, reader = ring
    reader._data[: len(data)] = data
    for place, count in counts.items():
        reader._counts[place] = count
    with pytest.raises(RingBroken):
        list(reader.read())
