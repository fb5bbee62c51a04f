"""Writes H.264 and HEVC headers bit by bit, for tests that need streams which no encoder makes."""


class BitWriter:
    """Collects bits, most significant first."""

    def __init__(self):
        self._bits = []

    def u(self, n, value):
        self._bits += [(value >> i) & 1 for i in range(n - 1, -1, -1)]
        return self

    def ue(self, value):
        n = (value + 1).bit_length()
        return self.u(n - 1, 0).u(n, value + 1)

    def se(self, value):
        return self.ue(2 * value - 1 if value > 0 else -2 * value)

    def trailing(self):
        """rbsp_trailing_bits, then the bytes with emulation prevention (H.264 7.3.1, 7.4.1)."""
        self.u(1, 1)
        bits = self._bits + [0] * (-len(self._bits) % 8)
        plain = bytes(int("".join(map(str, bits[i : i + 8])), 2) for i in range(0, len(bits), 8))
        out, zeros = bytearray(), 0
        for byte in plain:
            if zeros >= 2 and byte <= 3:
                out.append(3)
                zeros = 0
            out.append(byte)
            zeros = zeros + 1 if byte == 0 else 0
        return bytes(out)


def h264_sps(
    width,
    height,
    *,
    profile=100,
    bit_depth=8,
    chroma=1,
    frames_only=True,
    number_bits=8,
    gaps=False,
    full_range=None,
    matrix=None,
    rate=None,
    scaling=False,
):
    """The NAL unit, header included, without start code. Width and height even, height in fours for fields."""
    w = BitWriter().u(8, profile).u(16, 0x0028).ue(0)
    if profile >= 100:
        w.ue(chroma)
        if chroma == 3:
            w.u(1, 0)
        w.ue(bit_depth - 8).ue(bit_depth - 8).u(1, 0).u(1, int(scaling))
        if scaling:
            for i in range(8 if chroma != 3 else 12):
                w.u(1, i % 2)
                if i % 2:
                    w.se(-3)
                    for _ in range((16 if i < 6 else 64) - 1):
                        w.se(1)
    w.ue(number_bits - 4).ue(2).ue(4).u(1, int(gaps))
    unit_x = 1 if chroma in (0, 3) else 2
    unit_y = (2 if chroma == 1 else 1) * (1 if frames_only else 2)
    wide = -(-width // 16)
    high = -(-height // (16 if frames_only else 32))
    w.ue(wide - 1).ue(high - 1).u(1, int(frames_only))
    if not frames_only:
        w.u(1, 0)
    w.u(1, 1)
    right = (wide * 16 - width) // unit_x
    bottom = (high * (16 if frames_only else 32) - height) // unit_y
    w.u(1, 1).ue(0).ue(right).ue(0).ue(bottom)
    w.u(1, 1).u(1, 1).u(8, 255).u(16, 1).u(16, 1).u(1, 0)
    if full_range is None and matrix is None:
        w.u(1, 0)
    else:
        w.u(1, 1).u(3, 5).u(1, int(bool(full_range))).u(1, int(matrix is not None))
        if matrix is not None:
            w.u(8, 1).u(8, 1).u(8, matrix)
    w.u(1, 0)
    w.u(1, int(rate is not None))
    if rate is not None:
        w.u(32, 1).u(32, 2 * rate).u(1, 1)
    w.u(4, 0)
    return b"\x67" + w.trailing()


def hevc_sps(width, height, *, bit_depth=8, chroma=1, sub_layers=0, sets=(), fields=False, matrix=None, rate=None):
    """The NAL unit, header included. `sets`: reference picture sets, ("own", negative, positive) or ("from", delta)."""
    w = BitWriter().u(4, 0).u(3, sub_layers).u(1, 1)
    w.u(8, 1 if bit_depth == 8 else 2).u(32, 0x60000000).u(1, 1).u(1, 0).u(46, 0).u(8, 93)
    for _ in range(sub_layers):
        w.u(1, 1).u(1, 1)
    if sub_layers:
        w.u(2 * (8 - sub_layers), 0)
    for _ in range(sub_layers):
        w.u(88, 0).u(8, 0)
    w.ue(0).ue(chroma)
    if chroma == 3:
        w.u(1, 0)
    coded_w, coded_h = (width + 7) // 8 * 8, (height + 7) // 8 * 8
    unit_x, unit_y = (2 if chroma in (1, 2) else 1), (2 if chroma == 1 else 1)
    w.ue(coded_w).ue(coded_h).u(1, 1)
    w.ue(0).ue((coded_w - width) // unit_x).ue(0).ue((coded_h - height) // unit_y)
    w.ue(bit_depth - 8).ue(bit_depth - 8).ue(4).u(1, 0).ue(4).ue(2).ue(0)
    w.ue(0).ue(3).ue(0).ue(3).ue(0).ue(0)
    w.u(1, 1).u(1, 1)
    for size in range(4):
        for i in range(2 if size == 3 else 6):
            w.u(1, i % 2)
            if i % 2 == 0:
                w.ue(0)
                continue
            if size > 1:
                w.se(0)
            for _ in range(min(64, 1 << (4 + 2 * size))):
                w.se(-1)
    w.u(2, 3).u(1, 1).u(8, 0x77).ue(0).ue(0).u(1, 0)
    w.ue(len(sets))
    negative, positive = [], []
    for index, entry in enumerate(sets):
        if index:
            w.u(1, int(entry[0] == "from"))
        if entry[0] == "own":
            negative, positive = list(entry[1]), list(entry[2])
            w.ue(len(negative)).ue(len(positive))
            for step, deltas in ((-1, negative), (1, positive)):
                at = 0
                for delta in deltas:
                    w.ue(step * (delta - at) - 1).u(1, 1)
                    at = delta
        else:
            delta = entry[1]
            w.u(1, int(delta < 0)).ue(abs(delta) - 1)
            for _ in range(len(negative) + len(positive) + 1):
                w.u(1, 1)
            every = [d + delta for d in negative + positive] + [delta]
            negative = sorted((d for d in every if d < 0), reverse=True)
            positive = sorted(d for d in every if d > 0)
    w.u(1, 0).u(2, 0)
    w.u(1, 1).u(1, 0).u(1, 0)
    if matrix is None:
        w.u(1, 0)
    else:
        w.u(1, 1).u(3, 5).u(1, 0).u(1, 1).u(8, 1).u(8, 1).u(8, matrix)
    w.u(1, 0).u(1, 0).u(1, int(fields)).u(1, 0).u(1, 0)
    w.u(1, int(rate is not None))
    if rate is not None:
        w.u(32, 1).u(32, rate)
    w.u(8, 0)
    return b"\x42\x01" + w.trailing()


def h264_slice(number, *, idr=False, reference=True, number_bits=8, note=b""):
    """A slice header of a P or I picture with frame_num, then `note` as its data."""
    w = BitWriter().ue(0).ue(7 if idr else 5).ue(0).u(number_bits, number)
    kind = 5 if idr else 1
    return bytes([(0x60 if reference or idr else 0) | kind]) + w.trailing() + note


def annex_b(*nals):
    """The units with start codes before them."""
    return b"".join(b"\x00\x00\x00\x01" + nal for nal in nals)
