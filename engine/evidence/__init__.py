"""What an incident shows: a picture at its worst moment, the compressed media around it, its measure over time."""

from engine.evidence.jpeg import thumbnail

__all__ = ["thumbnail"]
