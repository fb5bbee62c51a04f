"""What a row of texture holds, and where and against what it looks: shared by its three versions.

Fine codes are luma codes brought to 10 bit (8-bit codes times four), so that one arithmetic serves every depth.
"""

import math
from typing import Final

COLUMNS: Final[tuple[str, ...]] = (
    "u_mean",
    "v_mean",
    "saturation",
    "u_gradient",
    "v_gradient",
    "out_of_range",
    "out_of_tolerance",
    "combing",
    "noise",
    "banding",
    "bars",
    "grain",
)

# Luma and chroma of limited range, in 8-bit codes (ITU-R BT.601, BT.709), and what EBU R 103 tolerates of luma.
LOWEST: Final = 16
HIGHEST_LUMA: Final = 235
HIGHEST_CHROMA: Final = 240
TOLERATED_LOWEST: Final = 5
TOLERATED_HIGHEST: Final = 246
# Saturation is taken from at most this many bits, so that its squares fit 24 bits.
SATURATION_BITS: Final = 12

# Combing, noise and banding look at blocks of this size, in about SAMPLED_BANDS bands of rows spread evenly, or in
# all of them where the picture has fewer than twice as many.
BLOCK_WIDTH: Final = 16
BAND_ROWS: Final = 8
BLOCK_SAMPLES: Final = BLOCK_WIDTH * BAND_ROWS
SAMPLED_BANDS: Final = 32

# A block is combed where neighbouring rows differ by this much (mean of |2c - b - d|, fine codes), and by two and a
# half times as much as rows of the same field do: blinds and fences seen from afar reach two.
COMB_DIFFERENCE: Final = 24
COMB_MORE: Final = 5
COMB_LESS: Final = 2

# Noise: block sums of |Laplacian| in bins of NOISE_BIN; the quietest NOISE_SHARE-th of the blocks stays within it. Of
# blocks whose mean is near black or white, clipping hides the noise. Where fewer than one in NOISE_SHARE are left
# beside those near black (decision 0148) and those near white that are quiet, below bin NOISE_QUIET, they are what the
# picture shows, a caption on black or a text on white, and have its detail.
NOISE_BINS: Final = 256
NOISE_BIN_BITS: Final = 8
NOISE_SHARE: Final = 4
NOISE_QUIET: Final = 10
# Of the samples of a block of noise the largest is some 5.4 standard deviations above the smallest, 10 after coding;
# letters, which have as much of |Laplacian|, jump at once: 11 to 100 times what they would have as a deviation. So a
# block is of grain if the sum is at least this many times the span: as its deviation is sqrt(pi / 2) / 6 of the mean,
# GRAIN * span <= sum says that the span is within 10.6 deviations (decision 0161).
GRAIN: Final = 58
NOISE_DARKEST: Final = 24 * 4 * BLOCK_SAMPLES
NOISE_BRIGHTEST: Final = 225 * 4 * BLOCK_SAMPLES
# One bin as a standard deviation in 8-bit codes: sqrt(pi / 2) / 6 of the mean of |Laplacian| (Immerkaer's eq. 5).
NOISE_UNIT: Final = math.sqrt(math.pi / 2) / 6 * (1 << NOISE_BIN_BITS) / BLOCK_SAMPLES / 4

# Banding: a block that luma crosses in steps of at least four 8-bit codes, changing by less in few places (coding
# leaves some ringing around them). Smaller steps are what every low bit rate leaves: with two codes, clean clips have
# as much of it as banded ones after coding.
BAND_STEP_MIN: Final = 16
BAND_SPAN_MAX: Final = 64
# A picture cut to few levels has such blocks with larger steps too, and more of them: of up to WIDE_SPAN_MAX they count
# WIDE_PART / WIDE_WHOLE, as graphics and flat drawings have some (decision 0086).
WIDE_SPAN_MAX: Final = 176
WIDE_PART: Final = 1
WIDE_WHOLE: Final = 2
BAND_CHANGES_MIN: Final = 8
BAND_CHANGES_MAX: Final = 48
BAND_FAINT_MAX: Final = 64

# Colour bars: (start, span) in eighths of the width, number of bars; the order of colours is the same in all.
BAR_LAYOUTS: Final = ((0, 8, 8), (0, 8, 7), (1, 6, 7))
BAR_COLUMNS: Final = 3
BAR_ROWS: Final = 8
BAR_TOLERANCE: Final = 10
_RGB: Final = ((1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1), (0, 0, 0))


def bar_colours() -> tuple[tuple[tuple[int, int, int], ...], ...]:
    """Y, U, V in 8-bit codes of the eight bars, for each kind of bars.

    Kinds: 75 % with 75 % and with 100 % white, 100 %; BT.601 and BT.709; limited and full range.
    Source: SMPTE EG 1, SMPTE RP 219, ITU-R BT.471 (EBU).
    """
    kinds = []
    for white, colour in ((0.75, 0.75), (1.0, 0.75), (1.0, 1.0)):
        for red, blue in ((0.299, 0.114), (0.2126, 0.0722)):
            for black, luma_span, chroma_span in ((16, 219, 224), (0, 255, 255)):
                bars = []
                for index, (r, g, b) in enumerate(_RGB):
                    level = white if index == 0 else colour
                    y = (red * r + (1 - red - blue) * g + blue * b) * level
                    u, v = (b * level - y) / (2 - 2 * blue), (r * level - y) / (2 - 2 * red)
                    bars.append(
                        (
                            round(black + luma_span * y),
                            min(255, round(128 + chroma_span * u)),
                            min(255, round(128 + chroma_span * v)),
                        )
                    )
                kinds.append(tuple(bars))
    return tuple(kinds)


def bands(height: int) -> int:
    """Bands of rows in a picture: band b holds rows 2 + BAND_ROWS * b and on, with two rows above and below."""
    return max(0, (height - 4) // BAND_ROWS)


def band_step(height: int) -> int:
    """Distance of the bands that are looked at; the first is band `band_step // 2`."""
    return max(1, (height - 4) // BAND_ROWS // SAMPLED_BANDS)


def blocks(width: int) -> int:
    """Blocks in a band: block k holds columns 1 + BLOCK_WIDTH * k and on, with one column to each side."""
    return max(0, (width - 2) // BLOCK_WIDTH)
