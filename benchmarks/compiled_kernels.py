"""Triton kernels compiled for GPUs that are not there, and what they take of one.

    with launches_compiled(90) as compiled:
        gpu.tile_stats(frames, references)  # CPU tensors; nothing runs, and the result means nothing
    compiled["_tile_kernel"].ptx

The compiler and the assembler come with Triton. Triton's interpreter takes what the compiler refuses (branches of
different types, for one), so each is needed.
"""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest import mock

import torch
import triton
from triton.backends.compiler import BaseBackend, GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

_DUMP: Final = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
_POINTERS: Final = {
    torch.float64: "*fp64", torch.float32: "*fp32", torch.float16: "*fp16", torch.bfloat16: "*bf16",
    torch.int64: "*i64", torch.int32: "*i32", torch.int16: "*i16", torch.int8: "*i8", torch.bool: "*i1",
    torch.uint16: "*u16", torch.uint8: "*u8",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Compiled:
    """One kernel, compiled for one architecture.

    Args:
        ptx: NVIDIA's intermediate code.
        warps: of a program.
        registers: of a thread.
        stack_bytes: of a thread: what did not fit in registers, and arrays with a run-time index.
        shared_bytes: of a program.
    """

    ptx: str
    warps: int
    registers: int
    stack_bytes: int
    shared_bytes: int

    @property
    def loads_of_128_bits(self) -> int:
        """Instructions that load 16 bytes per thread at once from device memory."""
        return len(re.findall(r"ld\.global\S*\.v4\.b32|ld\.global\S*\.v2\.b64|ld\.global\S*\.b128", self.ptx))


def _type_of(value: object) -> str:
    """The type with which Triton would launch an argument."""
    if isinstance(value, torch.Tensor):
        return _POINTERS[value.dtype]
    if isinstance(value, bool):
        return "i1"
    if isinstance(value, int):
        return "i32" if -(2**31) <= value < 2**31 else "i64"
    assert isinstance(value, float), value
    return "fp32"


def _is_multiple_of_16(value: object) -> bool:
    """What Triton's compiler is told of an address and of a whole number, and then relies on."""
    if isinstance(value, torch.Tensor):
        return value.data_ptr() % 16 == 0
    return isinstance(value, int) and not isinstance(value, bool) and value % 16 == 0


def _resources(cubin: bytes) -> tuple[int, int]:
    """Registers, and bytes of stack, of the only kernel in a binary."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        done = subprocess.run([_DUMP, "-res-usage", file.name], capture_output=True, text=True, timeout=60, check=True)
    found = re.search(r"REG:(\d+) STACK:(\d+) .*?LOCAL:(\d+)", done.stdout)
    if found is None:
        raise ValueError(f"cuobjdump says nothing of registers: {done.stdout[-300:]}")
    return int(found[1]), int(found[2]) + int(found[3])


@contextmanager
def launches_compiled(architecture: int) -> Iterator[dict[str, Compiled]]:
    """What is launched within is compiled for an architecture (90 for sm_90) instead, and found by kernel."""
    compiled: dict[str, Compiled] = {}
    target = GPUTarget("cuda", architecture, 32)

    def compile_only(function: Any, *values: object, grid: object, warmup: bool, **named: object) -> None:
        given = dict(zip(function.arg_names, values, strict=False))
        options = {name: value for name, value in named.items() if name not in function.arg_names}
        given |= {name: value for name, value in named.items() if name in function.arg_names}
        constants = {p.name: given[p.name] for p in function.params if p.is_constexpr}
        # As Triton does: a whole number that is 1 is compiled in.
        constants |= {name: value for name, value in given.items() if type(value) is int and value == 1}
        signature = {name: "constexpr" if name in constants else _type_of(given[name]) for name in function.arg_names}
        places = {name: (place,) for place, name in enumerate(function.arg_names)}
        source = ASTSource(
            function,
            signature,
            {places[name]: value for name, value in constants.items()},
            {
                places[name]: BaseBackend.parse_attr("D")
                for name, value in given.items()
                if name not in constants and _is_multiple_of_16(value)
            },
        )
        made = triton.compile(source, target=target, options=options)
        registers, stack = _resources(made.asm["cubin"])
        found = Compiled(made.asm["ptx"], made.metadata.num_warps, registers, stack, made.metadata.shared)
        compiled[function.fn.__name__] = found

    with mock.patch.object(JITFunction, "run", compile_only):
        yield compiled
