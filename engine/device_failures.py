"""What the engine's loop does when the GPU fails it: out of memory halves the batch, anything else ends the process.

CUDA never recovers from most errors: every later call fails too, also those of other streams. So the loop ends with an
error that says so, and whoever runs it starts another process (the service within seconds).
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch

from engine.errors import DeviceError

# Triton and the libraries of convolutions raise plain errors.
_OF_CUDA: Final = re.compile(r"Triton Error \[CUDA\]|CUDA error|cuDNN error|CUBLAS_STATUS|NVRTC")


@contextmanager
def gpu_failures_told(device: torch.device) -> Iterator[None]:
    """An error of CUDA as one of ours.

    Args:
        device: the engine's.
    Raises: DeviceError for whatever CUDA refuses.
    """
    try:
        yield
    except RuntimeError as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if not isinstance(error, (torch.AcceleratorError, torch.OutOfMemoryError)) and not _OF_CUDA.search(first):
            raise  # of something else
        raise DeviceError(
            "the GPU failed",
            stream=str(device),
            why=first,
            remedy="start again, as CUDA does not recover within a process; see dmesg for Xid errors",
        ) from error


def give_memory_back(device: torch.device) -> None:
    """Return what torch keeps for later to the driver: decoders have memory of their own."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
