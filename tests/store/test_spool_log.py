"""A log gives back every record that is whole, whatever happened to its file."""

import random

import pytest

from engine.store.spool_log import MAGIC, LogWriter, read_log

RECORDS = [b"first", b"", MAGIC + b"looks like a record", bytes(range(256)) * 3, b"last"]


@pytest.fixture
def written(tmp_path):
    """The bytes of a log, and where each record ends."""
    path = tmp_path / "log"
    writer = LogWriter(path)
    ends = []
    for record in RECORDS:
        writer.append(record)
        ends.append(writer.bytes)
    writer.sync()
    writer.close()
    return path, path.read_bytes(), ends


def test_records_come_back_in_order(written):
    path, data, ends = written
    assert read_log(path).records == tuple(RECORDS)
    assert read_log(path).damaged_bytes == 0
    assert ends[-1] == len(data)


def test_a_log_cut_at_any_byte_gives_what_was_whole_before(written):
    path, data, ends = written
    for length in range(len(data)):
        path.write_bytes(data[:length])
        whole = sum(end <= length for end in ends)
        content = read_log(path)
        assert content.records == tuple(RECORDS[:whole])
        assert content.damaged_bytes == length - ([0, *ends])[whole]


def test_a_flipped_bit_costs_one_record_at_most(written):
    path, data, _ = written
    rng = random.Random(1)
    for _ in range(300):
        at, bit = rng.randrange(len(data)), 1 << rng.randrange(8)
        path.write_bytes(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :])
        content = read_log(path)
        assert len(content.records) == len(RECORDS) - 1
        assert set(content.records) < set(RECORDS)
        assert content.damaged_bytes > 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"\x00" * 4096,
        lambda data: data + b"\x00" * 4096,
        lambda data: b"junk" + data,
        lambda data: data + data[: len(data) // 2],
        lambda data: data[:40] + b"\xff" * 30 + data[40:],
        lambda data: data.replace(b"first", b"worst"),
    ],
    ids=["empty", "zeros", "zeros after", "junk before", "half again", "inserted", "overwritten"],
)
def test_seven_corruptions_never_raise_and_never_invent(written, damage):
    path, data, _ = written
    path.write_bytes(damage(data))
    assert set(read_log(path).records) <= set(RECORDS)


def test_a_record_that_does_not_fit_leaves_the_log_as_it_was(tmp_path):
    path = tmp_path / "log"
    writer = LogWriter(path)
    writer.append(b"kept")
    with pytest.raises(ValueError, match="at most"):
        writer.append(bytes(17 << 20))
    writer.append(b"and more")
    writer.close()
    assert read_log(path).records == (b"kept", b"and more")
