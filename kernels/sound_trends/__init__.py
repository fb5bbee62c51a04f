"""What is said of sound after several blocks: of channels, gaps, hum, hiss, tones, levels, loudness."""

from kernels.sound_trends.layout import COLUMNS
from kernels.sound_trends.op import TrendState, sound_trends

__all__ = ["COLUMNS", "TrendState", "sound_trends"]
