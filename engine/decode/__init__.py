"""Packets to pictures and sound: NVDEC, software video, audio."""
