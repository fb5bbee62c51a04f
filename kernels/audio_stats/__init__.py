"""Loudness, peaks, silence and clipping of 100 ms blocks of sound."""

from kernels.audio_stats.op import COLUMNS, measure_audio
from kernels.audio_stats.state import AudioState, LoudnessSummary, loudness_summary

__all__ = ["COLUMNS", "AudioState", "LoudnessSummary", "loudness_summary", "measure_audio"]
