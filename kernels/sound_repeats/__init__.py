"""Whether sound is a piece of itself that comes again and again, as from a buffer that is stuck."""

from kernels.sound_repeats.layout import COLUMNS
from kernels.sound_repeats.op import RepeatState, sound_repeats

__all__ = ["COLUMNS", "RepeatState", "sound_repeats"]
