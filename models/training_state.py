"""What a training keeps to go on from: the network, its optimizer, and the place; safetensors, no pickle."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


def save_state(path: Path, net: nn.Module, optimizer: torch.optim.Optimizer, place: tuple[float, int, int]) -> None:
    """Write the state; what was there before is replaced at once or not at all.

    Args:
        path: of the file.
        net, optimizer: as they are.
        place: seconds spent, steps, epochs.
    """
    tensors = {f"net.{name}": tensor.contiguous() for name, tensor in net.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value).contiguous() for name, value in moments.items()}
    unfinished = path.with_suffix(".part")
    save_file(tensors, unfinished, metadata={"place": json.dumps(place)})
    unfinished.replace(path)


def load_state(path: Path, net: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[float, int, int]:
    """Put a state back. Returns: seconds spent, steps, epochs."""
    tensors = load_file(path)
    net.load_state_dict({name[4:]: tensor for name, tensor in tensors.items() if name.startswith("net.")})
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, moment = name.split(".")
            moments.setdefault(int(index), {})[moment] = tensor
    optimizer.load_state_dict(optimizer.state_dict() | {"state": moments})
    with path.open("rb") as file:
        header: dict[str, Any] = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    spent, step, epoch = json.loads(header["__metadata__"]["place"])
    return spent, step, epoch


def write_curve(path: Path, row: dict[str, float]) -> None:
    """Add a line to a curve."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
