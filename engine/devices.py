"""The device that a name means on this machine."""

import torch

from engine.errors import DeviceError


def choose_device(name: str) -> torch.device:
    """The torch device that a name means here.

    Args:
        name: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:N".
    Raises: DeviceError if it is not there.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()) or (kind == "cpu" and index):
        raise DeviceError(
            "no such device", stream=name, why="it is not auto, cpu, cuda or cuda:N", remedy="choose one of these"
        )
    if kind == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise DeviceError(
            "cannot use the GPU",
            stream=name,
            why="no CUDA device is available",
            remedy="use --device cpu, or see `avjury doctor` for what is missing",
        )
    if int(index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            "no such GPU",
            stream=name,
            why=f"this machine has {torch.cuda.device_count()}",
            remedy=f"use cuda:0 to cuda:{torch.cuda.device_count() - 1}",
        )
    return torch.device("cuda", int(index or 0))
