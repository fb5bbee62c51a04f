"""How large a program of a kernel is on each architecture: its tile, its warps, and the registers that it may take.

The table is made by the rule of benchmarks/block_rule.py from what the compiler says of each candidate
(`python -m benchmarks.block_rule`; a test holds the two together), not from a measurement: `make gpu-check` measures
the candidates on the GPU that is there, and says which was fastest beside what stands here. No number that a kernel
gives depends on it. The kernels of sound are not here: they add floats, and an order of its own per architecture would
give numbers of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import torch


class Blocks(NamedTuple):
    """Of one program.

    Args:
        tile: what it takes at a time, as the kernel wants it.
        warps: of it.
        registers: most of a thread; None leaves it to the assembler.
    """

    tile: tuple[int, ...]
    warps: int
    registers: int | None = None


CANDIDATES: Final[dict[str, tuple[Blocks, ...]]] = {
    # Rows and columns of a tile. With fewer registers there is no room for all of them (96 leave 112 bytes on the stack
    # of sm_90), and left alone the assembler takes 194, so that one program of 8 warps fills a multiprocessor.
    "frame_stats": (Blocks((16, 256), 8, 128), Blocks((8, 256), 4, 128)),
    # Rows of a tile that are looked at, and samples of one: 12 and 120 of a picture of 1920x1080.
    "tile_stats": (Blocks((16, 128), 4, 128), Blocks((8, 128), 2, 128)),
    # Blocks of 16x16 side by side.
    "torn_blocks": (Blocks((32,), 4), Blocks((32,), 8)),
    # Blocks side by side, each of 48 samples at most, with room for 64. Left alone the assembler takes over 200
    # registers.
    "scaled_blocks": (Blocks((8,), 4, 168), Blocks((16,), 8, 168)),
    # Places of a piece; eight of them are a run of 16 samples, which one thread reads.
    "to_network": (Blocks((256,), 1), Blocks((512,), 2)),
    # A row of measures with all its detectors.
    "judge": (Blocks((), 1), Blocks((), 4)),
}
"""What is tried; the first of each is taken where nothing else is known."""

TABLE: Final[dict[str, dict[int, Blocks]]] = {
    "frame_stats": {
        75: Blocks((8, 256), 4, 128),
        86: Blocks((8, 256), 4, 128),
        89: Blocks((8, 256), 4, 128),
        90: Blocks((8, 256), 4, 128),
    },
    "tile_stats": {
        75: Blocks((8, 128), 2, 128),
        86: Blocks((8, 128), 2, 128),
        89: Blocks((8, 128), 2, 128),
        90: Blocks((8, 128), 2, 128),
    },
    "torn_blocks": {75: Blocks((32,), 4), 86: Blocks((32,), 4), 89: Blocks((32,), 4), 90: Blocks((32,), 4)},
    "scaled_blocks": {
        75: Blocks((8,), 4, 168),
        86: Blocks((8,), 4, 168),
        89: Blocks((8,), 4, 168),
        90: Blocks((8,), 4, 168),
    },
    "to_network": {75: Blocks((512,), 2), 86: Blocks((512,), 2), 89: Blocks((256,), 1), 90: Blocks((256,), 1)},
    "judge": {75: Blocks((), 4), 86: Blocks((), 4), 89: Blocks((), 4), 90: Blocks((), 1)},
}
"""By kernel and architecture (90 for sm_90)."""


def blocks_for(kernel: str, capability: tuple[int, int]) -> Blocks:
    """What a kernel is launched with.

    Args:
        kernel: one of CANDIDATES.
        capability: of the GPU; one that the table does not have takes the nearest older one's.
    """
    own = 10 * capability[0] + capability[1]
    known = [architecture for architecture in TABLE.get(kernel, {}) if architecture <= own]
    return TABLE[kernel][max(known)] if known else CANDIDATES[kernel][0]


_capabilities: dict[torch.device, tuple[int, int]] = {}
_compiled_for: list[tuple[int, int]] = []


@contextmanager
def as_on(architecture: int) -> Iterator[None]:
    """Launches take what an architecture's would, wherever their tensors are: for kernels that are only compiled."""
    _compiled_for.append(divmod(architecture, 10))
    try:
        yield
    finally:
        _compiled_for.pop()


def blocks_on(kernel: str, device: torch.device) -> Blocks:
    """The same for a device of torch; tensors of the CPU reach a kernel in Triton's interpreter alone."""
    if _compiled_for:
        return blocks_for(kernel, _compiled_for[-1])
    if device.type != "cuda":
        return CANDIDATES[kernel][0]
    if device not in _capabilities:
        _capabilities[device] = torch.cuda.get_device_capability(device)
    return blocks_for(kernel, _capabilities[device])
