"""Runs the project's Triton kernels in Triton's interpreter on CPU tensors, beside compiled ones in one process.

    with interpreted("kernels.frame_stats.gpu") as gpu:
        gpu.frame_stats(frames, references, retain)  # CPU tensors, CPU addresses

TRITON_INTERPRET would have to be set before triton's first import, and then holds for the whole process, so that no
test could compile for a GPU. Here the module is loaded a second time under another name while the knob is on.
The loaded module must be self-contained: a module of ours that it imports is not loaded again.
"""

import dataclasses
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from math import prod
from types import ModuleType
from unittest import mock

import triton.language as tl
from triton import knobs
from triton.language import core, semantic
from triton.runtime import interpreter as triton_interpreter
from triton.runtime.interpreter import InterpretedFunction, _patch_lang, interpreter_builder
from triton.runtime.jit import JITFunction

# The interpreter patches these, and does not put back what a nested call patched.
_PATCHED_BY_TRITON = (tl, tl.core, tl.math, tl.standard, tl.tensor, tl.dtype, tl.core.tensor_descriptor_base)
_interpreted_copies: dict[int, InterpretedFunction] = {}
_common_types: dict[tuple, core.dtype] = {}


# The check of each sum for overflow asserts what the interpreter then leaves out, and takes a fifth of its time.
_OPTIONS = dataclasses.replace(interpreter_builder.options, sanitize_overflow=False)


def _call_within(function, *args, **kwargs):
    """A call within a kernel. Triton's own patches the whole language again, as the launch did: a quarter of it."""
    return function.rewrite()(*args, **kwargs)


def _call_interpreted(function, *args, **kwargs):
    """Stand-in for calling a compiled function: Triton's own library (tl.zeros, tl.sum) was loaded compiled."""
    if id(function) not in _interpreted_copies:  # its hash would parse the patched language
        _interpreted_copies[id(function)] = InterpretedFunction(function.fn)
    return _interpreted_copies[id(function)](*args, **kwargs)


# What the interpreter makes anew for each of the hundred thousands of values that a launch has, though there are some
# dozens of shapes and types: more than a third of its time.


@cache
def _numbers_of(shape):
    """The product of a shape's extents, and the shape, as a tensor holds them."""
    return core.constexpr(prod(shape)), core.tuple([core.constexpr(extent) for extent in shape])


@cache
def _extents_of(shape):
    """The shape as a type holds it, how many elements it has, and its text."""
    extents = core.tuple(list(shape))
    return extents, core.validate_block_shape(extents), str(extents)


@cache
def _numpy_type_of(element):
    return _NUMPY_TYPE(element)


_NUMPY_TYPE = triton_interpreter._get_np_dtype


def _make_tensor(self, handle, type):
    self.handle, self.type, self.dtype = handle, type, type.scalar
    self.numel, self.shape = _numbers_of(tuple(type.shape) if type.is_block() else ())


def _make_block_type(self, element_ty, shape):
    if not shape:
        raise TypeError("a block has a shape")
    self.element_ty = element_ty
    self.shape, self.numel, text = _extents_of(tuple(core._unwrap_if_constexpr(extent) for extent in shape))
    self.name = f"<{text}, {element_ty}>"


def _numpy_type(type):
    if isinstance(type, core.pointer_type):
        return _NUMPY_TYPE(type)
    return _numpy_type(type.element_ty) if isinstance(type, core.block_type) else _numpy_type_of(type)


_BROADCAST = semantic.TritonSemantic.broadcast_impl_value
_COMMON_TYPE = semantic.TritonSemantic.computation_type_impl
_UNWRAP = core._unwrap_if_constexpr


@cache
def _block_of(element, extents):
    return core.block_type(element, extents)


def _with_element(self, element):
    extents = tuple(self.shape.values)
    return (
        core.block_type(element, extents) if element.is_ptr() else _block_of(element, extents)
    )  # pointers have no hash


def _broadcast(self, lhs, rhs):
    """Both operands in one shape: most have it, or one is a scalar, and only others need Triton's own."""
    left, right = lhs.type, rhs.type
    if left.is_block() == right.is_block():
        return (lhs, rhs) if not left.is_block() or left.shape is right.shape else _BROADCAST(self, lhs, rhs)
    block, scalar = (lhs, rhs) if left.is_block() else (rhs, lhs)
    kind = block.type.with_element_ty(scalar.type.scalar)
    wide = self.tensor(self.builder.create_splat(kind.to_ir(self.builder), scalar.handle), kind)
    return (lhs, wide) if block is lhs else (wide, rhs)


def _common_type(self, *operands):
    if operands not in _common_types:  # whoever asks, of which each launch has new ones
        _common_types[operands] = _COMMON_TYPE(self, *operands)
    return _common_types[operands]


def _unwrap(value):
    if isinstance(value, core.constexpr):
        return value.value
    return _UNWRAP(value) if isinstance(value, (list, tuple, core.tuple)) else value


_FASTER = (
    (core.block_type, "with_element_ty", _with_element),
    (core, "_unwrap_if_constexpr", _unwrap),
    (semantic.TritonSemantic, "broadcast_impl_value", _broadcast),
    (semantic.TritonSemantic, "computation_type_impl", _common_type),
    (core.tensor, "__init__", _make_tensor),
    (core.block_type, "__init__", _make_block_type),
    (triton_interpreter, "_get_np_dtype", _numpy_type),
)


def _put_back(place, attributes):
    if not isinstance(place, ModuleType):  # rewritten functions keep needing what was added to their module
        for name in set(vars(place)) - set(attributes):
            delattr(place, name)
    for name, value in attributes.items():
        if vars(place)[name] is not value:
            setattr(place, name, value)


@contextmanager
def interpreted(name: str) -> Iterator[ModuleType]:
    """A fresh copy of the module `name` whose Triton kernels are interpreted for as long as the context lasts."""
    found = importlib.util.find_spec(name)
    spec = importlib.util.spec_from_file_location(f"{name}_interpreted", found.origin)
    module = importlib.util.module_from_spec(spec)
    before = [(place, dict(vars(place))) for place in _PATCHED_BY_TRITON]
    sys.modules[spec.name] = module
    try:
        with (
            ExitStack() as faster,
            knobs.runtime.scope(),
            mock.patch.object(JITFunction, "__call__", _call_interpreted),
            mock.patch.object(InterpretedFunction, "__call__", _call_within),
            mock.patch.object(interpreter_builder, "options", _OPTIONS),
        ):
            for place, name, value in _FASTER:
                faster.enter_context(mock.patch.object(place, name, value))
            _patch_lang(_call_within)  # what this module sees of the language, which is all of it
            knobs.runtime.interpret = True
            spec.loader.exec_module(module)
            yield module
    finally:
        del sys.modules[spec.name]
        for place, attributes in before:
            _put_back(place, attributes)
