"""Compiles what a kernel's host code launches, for a GPU that is not there.

    with launches_compiled() as compiled:
        gpu.tile_stats(frames, references)  # CPU tensors; nothing runs, and the result means nothing
    compiled["_tile_kernel"]  # the PTX

The interpreter takes what the compiler refuses (branches of different types, for one), so each is needed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

TARGET = GPUTarget("cuda", 90, 32)
_POINTERS = {
    torch.float64: "*fp64",
    torch.float32: "*fp32",
    torch.bfloat16: "*bf16",
    torch.int64: "*i64",
    torch.int32: "*i32",
    torch.uint8: "*u8",
    torch.int8: "*i8",
    torch.int16: "*i16",
    torch.uint16: "*u16",
    torch.bool: "*i1",
}


def _type_of(value: object) -> str:
    """The type with which Triton would launch an argument; without its special cases for 1 and multiples of 16."""
    if isinstance(value, torch.Tensor):
        return _POINTERS[value.dtype]
    if isinstance(value, bool):
        return "i1"
    if isinstance(value, int):
        return "i32" if -(2**31) <= value < 2**31 else "i64"
    assert isinstance(value, float), value
    return "fp32"


@contextmanager
def launches_compiled() -> Iterator[dict[str, str]]:
    """PTX for sm_90 by kernel, of every launch that happens within."""
    compiled: dict[str, str] = {}

    def compile_only(function: JITFunction, *values: object, grid: object, warmup: bool, **named: object) -> None:
        given = dict(zip(function.arg_names, values, strict=False))
        options = {name: value for name, value in named.items() if name not in function.arg_names}
        given |= {name: value for name, value in named.items() if name in function.arg_names}
        constants = {p.name: given[p.name] for p in function.params if p.is_constexpr}
        signature = {name: "constexpr" if name in constants else _type_of(given[name]) for name in function.arg_names}
        source = ASTSource(
            function, signature, {(function.arg_names.index(name),): value for name, value in constants.items()}
        )
        compiled[function.fn.__name__] = triton.compile(source, target=TARGET, options=options).asm["ptx"]

    with mock.patch.object(JITFunction, "run", compile_only):
        yield compiled
