"""Which block sizes a kernel takes on each architecture, chosen from what the compiler says of the candidates.

Where a kernel streams pictures, a multiprocessor has to have as many bytes on the way as memory delivers in the time
that a load takes (Little's law). So of the candidates that keep everything in registers the rule takes, in this order:

1. those that have that many bytes on the way in the programs that fit on a multiprocessor, or else most of all;
2. of these, those with the most warps resident, as another warp's arithmetic fills the time of one's load;
3. of these, the one with the fewest warps per program, so that the last round of programs leaves least idle.

    python -m benchmarks.block_rule    compiles all candidates (minutes), keeps what they take, prints the table

Nothing here is measured: `make gpu-check` does that.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.compiled_kernels import launches_compiled
from benchmarks.harness import RESULTS, write_result
from benchmarks.kernel_launches import LAUNCHES
from kernels import tuning
from kernels.tuning import CANDIDATES, Blocks

# Seconds from a load of device memory to its data, about: 400 to 800 cycles at 1 to 2 GHz are read of all of these.
_LATENCY: Final = 6e-7


@dataclass(frozen=True, slots=True)
class Processor:
    """A multiprocessor, and the card's memory behind it.

    Args:
        warps, programs: most that are resident.
        shared_bytes: for all programs.
        bandwidth: of the card that is commonest in data centres, bytes per second.
        count: its multiprocessors.
        loads: threads of a multiprocessor whose loads begin in one cycle.
        clock: cycles per second, at most.
    """

    warps: int
    programs: int
    shared_bytes: int
    bandwidth: float
    count: int
    loads: int
    clock: float

    @property
    def bytes_on_the_way(self) -> float:
        """That keep the memory busy, per multiprocessor."""
        return self.bandwidth * _LATENCY / self.count

    def seconds_to_load(self, loads: float) -> float:
        """What it takes at the least to begin so many threads' loads, whatever each is of: one byte or sixteen."""
        return loads / (self.loads * self.count * self.clock)


# CUDA C++ Programming Guide, "Technical Specifications per Compute Capability"; NVIDIA's data sheets; load/store units
# of a multiprocessor as drawn in the white papers of Turing, GA102, Ada and Hopper.
PROCESSORS: Final[Mapping[int, Processor]] = {
    75: Processor(32, 16, 64 << 10, 320e9, 40, 16, 1.59e9),  # T4
    86: Processor(48, 16, 100 << 10, 600e9, 80, 16, 1.71e9),  # A10G
    89: Processor(48, 24, 100 << 10, 300e9, 58, 16, 2.04e9),  # L4
    90: Processor(64, 32, 228 << 10, 4.8e12, 132, 32, 1.98e9),  # H200
}
_REGISTERS: Final = 65_536  # of a multiprocessor, on all of them
_REGISTER_UNIT: Final = 256  # they are given to a warp by so many
_SHARED_OVERHEAD: Final = 1024  # per program, since Ampere

# Bytes that a program of the kernel's largest launch asks for before it needs the first.
ASKED_AT_ONCE: Final[Mapping[str, Callable[[tuple[int, ...]], int]]] = {
    "frame_stats": lambda tile: 2 * tile[0] * tile[1],  # the picture's and its reference's tile
    "tile_stats": lambda tile: 2 * tile[0] * tile[1],  # the rows of both
    "torn_blocks": lambda tile: 8 * 16 * tile[0],  # four rows of both
    "scaled_blocks": lambda tile: 8 * 24 * tile[0],  # the same, of blocks half as large again
    "to_network": lambda tile: 12 * tile[0],  # a place's luma and chroma, of both
    "judge": lambda tile: 32 * 16 * 8,  # detectors' rules and state
}
# Which of a kernel's launches the candidates are of.
MAIN: Final = {
    "frame_stats": "_read_planes", "tile_stats": "_tile_kernel", "torn_blocks": "_grid_kernel",
    "scaled_blocks": "_grid_kernel", "to_network": "_piece_kernel", "judge": "_judge_kernel",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Taken:
    """What a candidate takes: of a thread registers and bytes of stack, of a program bytes of shared memory."""

    blocks: Blocks
    registers: int
    stack_bytes: int
    shared_bytes: int


def programs_resident(taken: Taken, processor: Processor, architecture: int) -> int:
    """Programs that fit on a multiprocessor at a time."""
    warps = taken.blocks.warps
    of_a_warp = -(-taken.registers * 32 // _REGISTER_UNIT) * _REGISTER_UNIT
    shared = taken.shared_bytes + (_SHARED_OVERHEAD if architecture >= 80 else 0)
    return min(
        processor.programs,
        processor.warps // warps,
        _REGISTERS // (of_a_warp * warps),
        processor.shared_bytes // shared if shared else processor.programs,
    )


def occupancy(taken: Taken, architecture: int) -> float:
    """Share of the warps that could be resident."""
    processor = PROCESSORS[architecture]
    return programs_resident(taken, processor, architecture) * taken.blocks.warps / processor.warps


def choose(kernel: str, candidates: Sequence[Taken], architecture: int) -> Blocks:
    """What the rule takes.

    Args:
        kernel: one of tuning.CANDIDATES.
        candidates: as compiled for the architecture, at least one without stack.
        architecture: 90 for sm_90.
    """
    processor = PROCESSORS[architecture]

    def worth(taken: Taken) -> tuple[float, int, int]:
        resident = programs_resident(taken, processor, architecture)
        on_the_way = resident * ASKED_AT_ONCE[kernel](taken.blocks.tile)
        return (
            min(1.0, on_the_way / processor.bytes_on_the_way),
            resident * taken.blocks.warps,
            -taken.blocks.warps,
        )

    return max((taken for taken in candidates if not taken.stack_bytes), key=worth).blocks


def compile_candidates(architecture: int, kernels: Sequence[str] = tuple(CANDIDATES)) -> dict[str, list[Taken]]:
    """What each candidate takes on an architecture; some ten seconds of a core per candidate."""
    found: dict[str, list[Taken]] = {}
    before = dict(tuning.TABLE)
    try:
        for kernel in kernels:
            for blocks in CANDIDATES[kernel]:
                tuning.TABLE[kernel] = {0: blocks}
                with tuning.as_on(architecture), launches_compiled(architecture) as compiled:
                    LAUNCHES[kernel][0]()
                made = compiled[MAIN[kernel]]
                found.setdefault(kernel, []).append(Taken(blocks, made.registers, made.stack_bytes, made.shared_bytes))
    finally:
        tuning.TABLE.clear()
        tuning.TABLE.update(before)
    return found


def newest_record(folder: Path = RESULTS) -> dict[int, dict[str, list[Taken]]]:
    """What the candidates took when they were last compiled, by architecture."""
    newest = max(folder.glob("kernel-blocks-2*.json"), default=None)
    if newest is None:
        return {}
    figures = json.loads(newest.read_text(encoding="utf-8"))["figures"]
    return {
        int(architecture): {
            kernel: [Taken(_blocks(row), row["registers"], row["stack_bytes"], row["shared_bytes"]) for row in rows]
            for kernel, rows in kernels.items()
        }
        for architecture, kernels in figures["architectures"].items()
    }


def _blocks(row: Mapping[str, Any]) -> Blocks:
    return Blocks(tuple(row["tile"]), row["warps"], row["most_registers"])


def _row(taken: Taken, architecture: int) -> dict[str, Any]:
    return {
        "tile": list(taken.blocks.tile),
        "warps": taken.blocks.warps,
        "most_registers": taken.blocks.registers,
        "registers": taken.registers,
        "stack_bytes": taken.stack_bytes,
        "shared_bytes": taken.shared_bytes,
        "occupancy": round(occupancy(taken, architecture), 4),
    }


def main() -> int:
    """Compile, keep and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", type=int, nargs="+", default=list(PROCESSORS))
    options = parser.parse_args()
    record: dict[str, Any] = {}
    for architecture in options.architectures:
        made = compile_candidates(architecture)
        record[str(architecture)] = {k: [_row(taken, architecture) for taken in rows] for k, rows in made.items()}
        for kernel, rows in made.items():
            print(architecture, kernel, choose(kernel, rows, architecture), flush=True)  # noqa: T201 - the output
    write_result("kernel-blocks", {"architectures": record})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
