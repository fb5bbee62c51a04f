"""Whether reference pictures of an MPEG-1 or MPEG-2 stream are missing, by the pictures' own numbers.

A decoder that lacks a reference picture predicts from the one before it and says nothing: libav marks such pictures
neither as concealed nor as damaged. The pictures are numbered in the order of their display, from 0 in each group, so
that a gap tells. A picture to which none refers may be left out without anything else being wrong, and is not missed.
Streams whose numbers do not run are known by that, and nothing is said of them.

Source: ITU-T H.262 (02/2012) clauses 6.2.2, 6.2.3, 6.3.8, 6.3.9.
"""

from dataclasses import dataclass, field
from typing import Final

_PICTURE: Final = 0x00
_FIRST_SLICE, _LAST_SLICE = 0x01, 0xAF
_GROUP: Final = 0xB8
_BIDIRECTIONAL: Final = 3
_NUMBERS: Final = 1024
# So many pictures have to be in order before one that is not says that others are missing; each that is in order
# counts one, up to the most, and each that is not takes some.
ENOUGH_IN_ORDER: Final = 25
MOST_IN_ORDER: Final = 250
OUT_OF_ORDER: Final = 5
# After so many reference pictures in a row a stream has no others, and a number that is left out was one of them.
ALL_REFERENCES: Final = 4


@dataclass(slots=True)
class PictureOrder:
    """Follows temporal_reference of one stream's pictures."""

    _reference: int | None = None  # number of the latest reference picture; None: not known
    _due: int = 0  # number from which on the pictures shown before it have to have come since the one before it
    _since: set[int] = field(default_factory=set)  # numbers that have come since then
    _last: int = -1
    _references: int = 0  # in a row
    _in_order: int = 0

    def forget_order(self) -> None:
        """The next picture does not follow the last one (a jump)."""
        self._reference, self._last = None, -1

    def missing_before(self, data: bytes) -> int:
        """1 if reference pictures before those of a packet are missing, else 0.

        Args:
            data: one picture, or the two fields of one, with the headers before it.
        """
        missing = group = False
        at = data.find(b"\0\0\1")
        while 0 <= at < len(data) - 5:
            code = data[at + 3]
            if code == _GROUP:
                group = True
            elif code == _PICTURE:
                number, kind = data[at + 4] << 2 | data[at + 5] >> 6, data[at + 5] >> 3 & 7
                missing = self._missing(number, kind, group) or missing
                group = False
            elif _FIRST_SLICE <= code <= _LAST_SLICE:
                break  # a second field has the number of the first
            at = data.find(b"\0\0\1", at + 3)
        return int(missing)

    def _missing(self, number: int, kind: int, group: bool) -> bool:
        if number == self._last and not group:
            return False  # the other field
        self._last = number
        before = self._reference
        ahead = 0 if before is None else (number - before + _NUMBERS // 2) % _NUMBERS - _NUMBERS // 2
        if kind == _BIDIRECTIONAL:
            self._references = 0
            if before is None:
                return False
            if ahead < 0 and not group:
                self._since.add(number)
                return self._told(True)
            self._reference = None  # the one that it needs, which is shown after it, never came
            return self._told(False)
        whole = before is None or ((group or ahead > 0) and self._complete(before))
        # Pictures shown before the first of a group may be missing where streams were cut together.
        self._due = number if group or before is None else before + 1
        self._reference, self._since = number, set()
        self._references += 1
        return self._told(whole)

    def _complete(self, reference: int) -> bool:
        """Whether no reference picture shown before the latest one is missing."""
        between = (reference - self._due) % _NUMBERS
        came = all((self._due + n) % _NUMBERS in self._since for n in range(between))
        return came or self._references < ALL_REFERENCES

    def _told(self, in_order: bool) -> bool:
        if in_order:
            self._in_order = min(self._in_order + 1, MOST_IN_ORDER)
            return False
        told = self._in_order >= ENOUGH_IN_ORDER
        self._in_order = max(self._in_order - OUT_OF_ORDER, 0)
        return told
