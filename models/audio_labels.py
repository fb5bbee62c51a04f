"""What the audio network knows of. Nothing here loads torch."""

from typing import Final

DEFECTS: Final = ("hum", "noise", "distortion", "click", "dropout", "codec")
CONTENT: Final = ("speech", "music", "other")
LABELS: Final = DEFECTS + CONTENT
