"""Reads a coded header bit by bit."""


class OutOfBits(Exception):
    """The header ends before its last field."""


class Bits:
    """Reads a header bit by bit, emulation prevention bytes removed."""

    def __init__(self, payload: bytes) -> None:
        self._value = int.from_bytes(payload, "big")
        self._left = len(payload) * 8

    def u(self, n: int) -> int:
        """n bits, most significant first."""
        if n > self._left:
            raise OutOfBits
        self._left -= n
        return (self._value >> self._left) & ((1 << n) - 1)

    def flag(self) -> bool:
        """One bit."""
        return self.u(1) == 1

    def ue(self) -> int:
        """Unsigned Exp-Golomb code (H.264 9.1)."""
        rest = self._value & ((1 << self._left) - 1)
        zeros = self._left - rest.bit_length()
        left = self._left - 2 * zeros - 1
        if zeros > 32 or left < 0:
            raise OutOfBits
        self._left = left
        return (rest >> left) - 1

    def se(self) -> int:
        """Signed Exp-Golomb code (H.264 9.1.1)."""
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)
