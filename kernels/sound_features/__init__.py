"""What 100 ms of sound show of its channels against each other, and of clicks, gaps, hum, hiss and tones."""

from kernels.sound_features.layout import FEATURES, Feature
from kernels.sound_features.op import FeatureState, sound_features

__all__ = ["FEATURES", "Feature", "FeatureState", "sound_features"]
