"""The audio network with its weights, ready for use."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from models.audio_hearing import Hearing
from models.audio_net import AudioNet
from models.weight_files import SHIPPED, put_into, read_weights

SHIPPED_AUDIO: Final = SHIPPED / "audio.safetensors"


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """The network for use.

    Args:
        net: folded, channels last, float32.
        hearing: makes what it is given.
        version: of the weights, as their file says.
    """

    net: AudioNet
    hearing: Hearing
    version: str


def load_audio(path: Path | None = None) -> Audio:
    """The network with the weights of a file; those of the package unless told.

    Raises: WeightsError if the file is not what it should be.
    """
    tensors, about = read_weights(path or SHIPPED_AUDIO, "audio")
    net = AudioNet().folded()
    put_into(net, tensors, path)
    net = net.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Audio(net, Hearing().eval().requires_grad_(False), about.get("version", ""))
