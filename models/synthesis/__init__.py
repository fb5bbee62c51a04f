"""Defects planted into clean material, with what was planted where."""

from models.synthesis.planted import Planted

__all__ = ["Planted"]
