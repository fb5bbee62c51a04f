"""What a CUDA graph does, on the CPU: the ops that a function ran, run again in the same memory.

Whatever of a function is no op of torch on a tensor (a branch of Python, a number read from a tensor, a table made from
a list) is frozen by recording, as it is by a CUDA graph, so a function that depends on one gives other numbers when it
is played back. Reading a tensor's value is refused at once, as it is there.
"""

import importlib
import inspect
import pkgutil
from contextlib import ExitStack, contextmanager
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode

import engine.measure
from engine.measure import network
from kernels.to_network.layout import TYPES

# Sound is not recorded, nor are whole pictures of the network; `to_network` has a type to be told as a number.
_NOT_RECORDED = ("sound", "whole_looks")
_BY_NUMBER = "to_network"


def _kernels():
    """(module, name) of every kernel that measures of pictures call, whoever adds one."""
    for found in pkgutil.iter_modules(engine.measure.__path__):
        if found.name in _NOT_RECORDED:
            continue
        module = importlib.import_module(f"engine.measure.{found.name}")
        for name, what in vars(module).items():
            is_kernel = inspect.isfunction(what) and what.__module__.startswith("kernels.")
            if is_kernel and name != _BY_NUMBER and hasattr(torch.ops.avjury, name):
                yield module, name


# The kernels call their CPU versions past torch's dispatcher, which is faster; here every call has to be seen.
_KERNELS = tuple(_kernels())
# The last is a tensor made from a list of Python's: a copy from memory that is gone when it is played back.
_REFUSED = (
    "aten._local_scalar_dense", "aten.nonzero", "aten.item", "aten._assert_async", "aten.masked_select",
    "aten.lift_fresh",
)  # fmt: skip
_VIEWS = (
    "aten.view", "aten.select", "aten.slice", "aten.unsqueeze", "aten.detach", "aten.alias", "aten.split",
    "aten.expand", "aten.permute", "aten._unsafe_view", "aten.unbind", "aten.squeeze", "aten.t.", "aten.transpose",
)  # fmt: skip


class RecordedOps(TorchDispatchMode):
    """Runs ops and remembers them; `replay` runs them again.

    Args:
        undone: remember what they wrote over, so that `undo` can put it back: a recording runs nothing.
    """

    def __init__(self, undone=False):
        super().__init__()
        self.ops = []
        self._undone = undone
        self._before = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = str(function)
        if name.startswith(_REFUSED):
            raise RuntimeError(f"operation not permitted when stream is capturing: {name}")
        view = name.startswith(_VIEWS)
        if self._undone and not view:
            self._before += [(tensor, tensor.clone()) for tensor in _written(function, args, kwargs)]
        result = function(*args, **kwargs)
        if not view:
            # As they are now: some ops turn a tensor's axes round where it lies.
            self.ops.append((function, args, kwargs, [one.detach() for one in _tensors(result)]))
        return result

    def undo(self):
        """Put back what was written over."""
        while self._before:
            tensor, value = self._before.pop()
            tensor.copy_(value)

    def replay(self):
        for function, args, kwargs, result in self.ops:
            again = function(*args, **kwargs)
            for one, other in zip(result, _tensors(again), strict=True):
                if one.data_ptr() != other.data_ptr():
                    one.copy_(other)


def _written(function, args, kwargs):
    """The arguments that an op changes."""
    named = zip(function._schema.arguments, args, strict=False)
    given = [(one, value) for one, value in named] + [
        (one, kwargs[one.name]) for one in function._schema.arguments if one.name in kwargs
    ]
    return [
        value
        for one, value in given
        if one.alias_info is not None and one.alias_info.is_write and isinstance(value, torch.Tensor)
    ]


def _tensors(result):
    return [t for t in (result if isinstance(result, (tuple, list)) else (result,)) if isinstance(t, torch.Tensor)]


@contextmanager
def kernels_seen():
    """All kernels of pictures by way of torch's dispatcher."""
    with ExitStack() as stack:
        for module, name in _KERNELS:
            stack.enter_context(mock.patch.object(module, name, getattr(torch.ops.avjury, name)))
        stack.enter_context(mock.patch.object(network, "to_network", _to_network))
        yield


def _to_network(frames, references, crops, dtype):
    return torch.ops.avjury.to_network(frames, references, crops, TYPES.index(dtype))


def keep_state(states, work):
    """Run `work`, and undo what it did to these tensors: a graph's recording runs nothing."""
    before = [state.clone() for state in states]
    result = work()
    for state, value in zip(states, before, strict=True):
        state.copy_(value)
    return result


def states_of(thing, seen=None):
    """All tensors that an object holds, and those that what it holds does."""
    seen = set() if seen is None else seen
    if id(thing) in seen:
        return []
    seen.add(id(thing))
    if isinstance(thing, torch.Tensor):
        return [thing]
    if isinstance(thing, (list, tuple, set)):
        inner = list(thing)
    elif isinstance(thing, dict):
        inner = list(thing.values())
    elif type(thing).__module__.startswith(("engine.", "kernels.")):
        inner = [
            getattr(thing, name, None) for name in (*getattr(thing, "__slots__", ()), *getattr(thing, "__dict__", ()))
        ]
    else:
        return []
    return [state for one in inner for state in states_of(one, seen)]
