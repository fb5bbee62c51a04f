"""MPEG-TS packets, header by header, in one compiled pass.

About 5 ns a packet on one core: a stream of 8 Mbit/s takes 30 us a second, some thousandth of decoding it. Nothing here
knows tables or time; see transport_stream.py.

Source: ISO/IEC 13818-1, 2.4.3.2 (packet), 2.4.3.3 (continuity), 2.4.3.4 (adaptation field).
"""

from enum import IntEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import njit

from engine.ingest.ts_framing import NULL_PID, PIDS, SYNC_BYTE

EVENT_FIELDS: Final = 4
MAX_EVENTS: Final = 4096


class Event(IntEnum):
    """What `scan` reports; column 0 of its events."""

    SYNC_LOST = 0  # no packet where one should begin, nor where the next one should
    SYNC_BYTE = 1  # one sync byte is wrong, the next one is right
    TRANSPORT_ERROR = 2  # transport_error_indicator
    CONTINUITY = 3  # value: packets missing, modulo 16; 0: the same one more than twice
    PCR = 4  # value: of the 27 MHz clock
    PCR_ANEW = 5  # the same with discontinuity_indicator set
    WATCHED = 6  # a packet of a watched PID; value: its offset in the data
    SCRAMBLED = 7  # the first packet after a PCR's with a transport_scrambling_control
    FIRST = 8  # the first packet of a PID, and the first one behind a border; value: see `first_of`


(*(_SYNC_LOST, _SYNC_BYTE, _TRANSPORT_ERROR, _CONTINUITY, _PCR, _PCR_ANEW, _WATCHED, _SCRAMBLED, _FIRST),) = (
    int(e) for e in Event
)
_TWICE: Final = 16  # added to a counter that came twice
_BORDER: Final = 32  # added to one before a border


def new_flags() -> npt.NDArray[np.bool_]:
    """(2,) whether packets lie where they should, and whether none was scrambled since the last PCR."""
    return np.ones(2, np.bool_)


def new_counters() -> npt.NDArray[np.int16]:
    """(PIDS,) the last continuity counter of each PID, -1 before the first; see _TWICE and _BORDER."""
    return np.full(PIDS, -1, np.int16)


def mark_border(counters: npt.NDArray[np.int16], *, anew: bool) -> None:
    """Behind the last packet that was read another segment begins.

    Args:
        counters: from `new_counters`; changed.
        anew: nothing in it goes on from before.
    """
    if anew:
        counters[:] = -1
    else:
        counters[counters >= 0] |= _BORDER


def first_of(value: int) -> tuple[int, int | None, bool]:
    """What an Event.FIRST says.

    Returns: the counter; the one that it should be, None where nothing was before; whether it may be another one
        (discontinuity_indicator, or the packet before the border once more).
    """
    counter, payload, anew, known, last = value & 15, value >> 4 & 1, value >> 5 & 1, value >> 6 & 1, value >> 8 & 31
    if not known:
        return counter, None, True
    again = bool(payload) and counter == last & 15 and not last & _TWICE
    return counter, (last & 15) + payload & 15, bool(anew) or again


@njit(nogil=True, cache=True)
def _scan(data, begin, position, packet_bytes, lead, counters, flags, watched, packets, events):
    size = data.shape[0]
    room = events.shape[0] - 3  # a packet brings three events at most
    at = begin
    count = 0
    while at + packet_bytes <= size and count < room:
        head = at + lead
        if not flags[0] or data[head] != SYNC_BYTE:
            if flags[0]:
                follows = head + packet_bytes
                if follows >= size:
                    break
                lost = data[follows] != SYNC_BYTE  # two in a row are lost sync (TR 101 290, 1.1)
                events[count, 0] = _SYNC_LOST if lost else _SYNC_BYTE
                events[count, 1] = position + at
                events[count, 2] = -1
                events[count, 3] = 0
                count += 1
                if not lost:
                    at += packet_bytes
                    continue
                flags[0] = False
            # Three that fit are packets again.
            while at + lead + 2 * packet_bytes < size and not (
                data[at + lead] == SYNC_BYTE
                and data[at + lead + packet_bytes] == SYNC_BYTE
                and data[at + lead + 2 * packet_bytes] == SYNC_BYTE
            ):
                at += 1
            if at + lead + 2 * packet_bytes >= size:
                break
            flags[0] = True
            continue
        pid = (int(data[head + 1]) & 0x1F) << 8 | int(data[head + 2])
        if data[head + 1] & 0x80:
            # Nothing else in it can be trusted, its PID neither.
            events[count, 0] = _TRANSPORT_ERROR
            events[count, 1] = position + at
            events[count, 2] = pid
            events[count, 3] = 0
            count += 1
            at += packet_bytes
            continue
        packets[pid] += 1
        if pid == NULL_PID:
            at += packet_bytes
            continue
        control = int(data[head + 3]) >> 4 & 3
        if flags[1] and data[head + 3] >= 64:
            flags[1] = False
            events[count, 0] = _SCRAMBLED
            events[count, 1] = position + at
            events[count, 2] = pid
            events[count, 3] = 0
            count += 1
        anew = False
        if control & 2 and data[head + 4] > 0:
            fields = int(data[head + 5])
            anew = fields & 0x80 != 0
            if fields & 0x10 and data[head + 4] >= 7:
                base = 0
                for k in range(4):
                    base = base << 8 | int(data[head + 6 + k])
                base = base << 1 | int(data[head + 10]) >> 7
                extension = (int(data[head + 10]) & 1) << 8 | int(data[head + 11])
                events[count, 0] = _PCR_ANEW if anew else _PCR
                events[count, 1] = position + at
                events[count, 2] = pid
                events[count, 3] = base * 300 + extension
                count += 1
                flags[1] = True
        counter = int(data[head + 3]) & 15
        last = int(counters[pid])
        expected = (last & 15) + (control & 1) & 15
        if last < 0 or last >= 32:
            events[count, 0] = _FIRST
            events[count, 1] = position + at
            events[count, 2] = pid
            known = 64 | (last & 31) << 8 if last >= 32 else 0
            events[count, 3] = counter | (control & 1) << 4 | (32 if anew else 0) | known
            count += 1
            counters[pid] = counter
        elif anew or counter == expected:
            # A packet without payload does not count up, however often it comes.
            counters[pid] = counter if control & 1 else counter | last & 16
        elif control & 1 and counter == last & 15 and last & 16 == 0:
            counters[pid] = counter | 16
        else:
            events[count, 0] = _CONTINUITY
            events[count, 1] = position + at
            events[count, 2] = pid
            events[count, 3] = 0 if counter == last & 15 else counter - expected & 15
            count += 1
            counters[pid] = counter
        if watched[pid] and control & 1:
            events[count, 0] = _WATCHED
            events[count, 1] = position + at
            events[count, 2] = pid
            events[count, 3] = at
            count += 1
            at += packet_bytes
            break  # what it says may change what is watched
        at += packet_bytes
    return at, count


_compiled: Any = _scan  # numba compiles it; it carries no types


def scan(
    data: npt.NDArray[np.uint8],
    begin: int,
    position: int,
    framing: tuple[int, int],
    counters: npt.NDArray[np.int16],
    flags: npt.NDArray[np.bool_],
    watched: npt.NDArray[np.bool_],
    packets: npt.NDArray[np.int64],
    events: npt.NDArray[np.int64],
) -> tuple[int, int]:
    """Read packets until the data ends, a watched packet was met, or the events are full.

    Args:
        data: (n,) uint8, C-contiguous.
        begin: offset of the first packet.
        position: of data[0] in the stream.
        framing: packet bytes, and bytes before the sync byte.
        counters: from `new_counters`; changed.
        flags: from `new_flags`; changed.
        watched: (PIDS,) bool: whose packets with payload are reported.
        packets: (PIDS,) int64: how many there were; changed.
        events: (MAX_EVENTS, EVENT_FIELDS) int64; rows of (Event, position, PID or -1, value) are written.
    Returns: offset of the first packet that was not read, and the number of events.
    """
    at, count = _compiled(data, begin, position, framing[0], framing[1], counters, flags, watched, packets, events)
    return int(at), int(count)
