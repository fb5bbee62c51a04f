"""Detector networks."""
