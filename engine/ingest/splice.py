"""SCTE-35 splice information: what a marker says.

Source: ANSI/SCTE 35 2023, 9.6 (splice_info_section), 9.7 (commands), 10.3.3 (segmentation_descriptor).
"""

from dataclasses import dataclass
from typing import Final

TABLE_ID: Final = 0xFC
_INSERT: Final = 0x05
_TIME_SIGNAL: Final = 0x06
_COMMANDS: Final = {
    0x00: "splice_null",
    0x04: "splice_schedule",
    _INSERT: "splice_insert",
    _TIME_SIGNAL: "time_signal",
    0x07: "bandwidth_reservation",
    0xFF: "private_command",
}
# Heartbeats and reservations keep the PID alive; nothing is to happen.
_IDLE: Final = frozenset((0x00, 0x07))
# Table 23 of 10.3.3.1; the others are told by their number.
_SEGMENTATION: Final = {
    0x10: "programme start",
    0x11: "programme end",
    0x20: "chapter start",
    0x21: "chapter end",
    0x22: "break start",
    0x23: "break end",
    0x30: "provider advertisement start",
    0x31: "provider advertisement end",
    0x32: "distributor advertisement start",
    0x33: "distributor advertisement end",
    0x34: "provider placement opportunity start",
    0x35: "provider placement opportunity end",
    0x36: "distributor placement opportunity start",
    0x37: "distributor placement opportunity end",
}
_CUEI: Final = b"CUEI"
_TICKS: Final = 90_000


@dataclass(frozen=True, slots=True)
class Splice:
    """One splice information section.

    Args:
        idle: a heartbeat or a reservation: it marks nothing.
        text: one line for people.
    """

    idle: bool
    text: str


def parse_splice(section: bytes) -> Splice | None:
    """Read a section.

    Args:
        section: from its table_id to its CRC.
    Returns: None where it is none, or is cut.
    """
    if len(section) < 20 or section[0] != TABLE_ID:
        return None
    if section[4] & 0x80:
        return Splice(False, "encrypted marker")
    kind = section[13]
    name = _COMMANDS.get(kind, f"command {kind:#04x}")
    if kind in _IDLE:
        return Splice(True, name)
    length = (section[11] & 0x0F) << 8 | section[12]
    body = section[14:-4]
    if kind == _INSERT:
        return Splice(False, f"{name}{_insert(body)}")
    if kind == _TIME_SIGNAL and length != 0xFFF:
        return Splice(False, f"{name}{_segmentation(body[length:])}")
    return Splice(False, name)


def _insert(body: bytes) -> str:
    if len(body) < 5:
        return ""
    event = f", event {int.from_bytes(body[:4], 'big')}"
    if body[4] & 0x80:
        return f" cancelled{event}"
    if len(body) < 6:
        return event
    flags = body[5]
    text = (" out" if flags & 0x80 else " in") + event
    if flags & 0x10:
        text += ", immediate"
    at = 6
    if flags & 0x40:
        if not flags & 0x10 and at < len(body):
            at += 5 if body[at] & 0x80 else 1
    elif at < len(body):
        components = body[at]
        at += 1
        for _ in range(components):
            at += 1
            if not flags & 0x10 and at < len(body):
                at += 5 if body[at] & 0x80 else 1
    if flags & 0x20 and at + 5 <= len(body):
        ticks = (body[at] & 1) << 32 | int.from_bytes(body[at + 1 : at + 5], "big")
        text += f", {ticks / _TICKS:.3f} s"
    return text


def _segmentation(rest: bytes) -> str:
    """What the first segmentation descriptor of a descriptor loop says."""
    at, end = 2, 2 + int.from_bytes(rest[:2], "big")
    while at + 2 <= min(end, len(rest)):
        tag, length = rest[at], rest[at + 1]
        body = rest[at + 2 : at + 2 + length]
        at += 2 + length
        if tag != 0x02 or body[:4] != _CUEI or len(body) < 10:
            continue
        event = f", event {int.from_bytes(body[4:8], 'big')}"
        if body[8] & 0x80:
            return f" cancelled{event}"
        flags, skip = body[9], 10
        if not flags & 0x80 and skip < len(body):
            skip += 1 + 6 * body[skip]
        if flags & 0x40:
            skip += 5
        if skip + 2 > len(body):
            return event
        skip += 2 + body[skip + 1]
        if skip >= len(body):
            return event
        kind = body[skip]
        return f" {_SEGMENTATION.get(kind, f'segmentation {kind:#04x}')}{event}"
    return ""
