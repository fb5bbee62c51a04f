"""Stands in for torch's CUDA where there is no GPU: tensors that count as the GPU's lie in host memory.

Code for `torch.device("cuda", 0)` runs as it is, whole engines too (over tests/fake_driver.py), and what a GPU refuses
is refused: numpy on a tensor of the GPU, host and GPU tensors in one operation, host arrays that say they are
read-only. What a recording refuses is refused by tests/recorded_ops.py. Kernels are those of the CPU.

    with cuda_on_cpu() as gpu:
        ...
    gpu.on_default_stream  # what was launched there, which nothing should be
    gpu.pageable  # uploads that should not wait, and do
    gpu.waiting  # uploads that were not asked not to wait: each waits for all that was launched before it

Streams do nothing: everything is done at once, so no race shows.
"""

import threading
import traceback
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from unittest import mock

import torch
import torch._dynamo  # what custom ops load when they are first called; it looks at what is replaced here
from recorded_ops import RecordedOps
from torch.overrides import TorchFunctionMode, resolve_name

DEVICE = torch.device("cuda", 0)
_HOST = torch.device("cpu")
_READS = ("numpy", "__array__")
_WAITS = ("item", "tolist", "__bool__", "__int__", "__float__", "__index__", "nonzero")
# What takes an index or a few numbers from the host too, at the price of an upload.
_TAKE_HOST = ("__getitem__", "__setitem__", "copy_", "index_put_", "where")
# Views: they launch nothing.
_FREE = ("view", "reshape", "expand", "permute", "unbind", "split", "tensor_split", "squeeze", "unsqueeze", "select",
         "numel", "size", "dim", "stride", "data_ptr", "__len__", "is_contiguous", "element_size", "empty", "new_empty",
         "empty_like", "contiguous", "as_strided", "__hash__", "__repr__", "detach")  # fmt: skip
_here = threading.local()


class Stream:
    """As torch.cuda.Stream."""

    def __init__(self, device=None, priority=0):
        self.device, self.cuda_stream = DEVICE, id(self) & 0x7FFFFFFF

    def wait_stream(self, other):
        assert isinstance(other, Stream)

    def wait_event(self, event):
        assert isinstance(event, Event)

    def record_event(self, event=None):
        return event or Event()

    def synchronize(self):
        _refuse_while_recording("synchronizing a stream")

    def query(self):
        return True


class Event:
    """As torch.cuda.Event; what was recorded is done."""

    def __init__(self, enable_timing=False, blocking=False):
        pass

    def record(self, stream=None):
        assert stream is None or isinstance(stream, Stream)

    def wait(self, stream=None):
        assert stream is None or isinstance(stream, Stream)

    def synchronize(self):
        _refuse_while_recording("synchronizing an event")

    def query(self):
        return True

    def elapsed_time(self, other):
        return 1.0


DEFAULT = Stream()


def current_stream(device=None):
    return getattr(_here, "stream", DEFAULT)


@contextmanager
def stream(chosen):
    before = current_stream()
    _here.stream = chosen if chosen is not None else before
    try:
        yield
    finally:
        _here.stream = before


class Graph:
    """As torch.cuda.CUDAGraph; see `graph`."""

    def __init__(self, keep_graph=False):
        self.ops = None

    def replay(self):
        assert self.ops is not None, "nothing was recorded"
        assert current_stream() is not DEFAULT, "a graph is played back on the default stream"
        _count(1)
        with torch._C.DisableTorchFunction(), _uncounted():
            self.ops.replay()

    def pool(self):
        return (0, 1)


@contextmanager
def graph(recorded, pool=None, stream=None, capture_error_mode="global"):
    """As torch.cuda.graph: what runs within is recorded, and undone, as a recording runs nothing."""
    before = current_stream()
    _here.stream = stream or Stream()
    _here.recording = True
    ops = RecordedOps(undone=True)
    try:
        with ops:
            yield
    finally:
        _here.recording = False
        _here.stream = before
        with torch._C.DisableTorchFunction():  # its copies are none of the GPU's
            ops.undo()
    recorded.ops = ops


def _count(launches):
    if getattr(_here, "counting", None) is not None:
        _here.counting.append(launches)


@contextmanager
def _uncounted():
    before, _here.counting = getattr(_here, "counting", None), None
    try:
        yield
    finally:
        _here.counting = before


@contextmanager
def launches_counted():
    """A list that one is appended to for each launch, copy or playback in this thread; a kernel of several is one."""
    _here.counting = []
    try:
        yield _here.counting
    finally:
        _here.counting = None


def _refuse_while_recording(what):
    if getattr(_here, "recording", False):
        raise RuntimeError(f"operation not permitted when stream is capturing: {what}")


def is_there(tensor):
    """Whether a tensor counts as the GPU's."""
    return getattr(tensor, "on_gpu", False)


def _means_gpu(value):
    return (isinstance(value, torch.device) and value.type == "cuda") or (
        isinstance(value, str) and value.partition(":")[0] == "cuda"
    )


def _means_host(value):
    return (isinstance(value, torch.device) and value.type == "cpu") or (isinstance(value, str) and value == "cpu")


def _tensors(values):
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)


def _marked(result, there):
    for tensor in _tensors((result,)):
        tensor.on_gpu = there
    return result


class OnCpu(TorchFunctionMode):
    """Takes "cuda" out of what torch is asked for, and remembers whose each tensor is."""

    def __init__(self, log):
        super().__init__()
        self.log = log

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if func is torch.device:
            return func(*args, **kwargs)
        if name == "__get__":
            return self._property(func, args)
        own = args[0] if args else None
        if name == "__set__":
            return func(*args)
        if name == "pin_memory":
            own.pinned = True
            return own
        if name == "is_pinned":
            return False
        pinned = bool(kwargs.pop("pin_memory", False))
        if kwargs.get("non_blocking") and self._from_pageable(name, args):
            self.log.pageable.append(resolve_name(func))
        asked_there = any(map(_means_gpu, (*args, *kwargs.values())))
        if not kwargs.get("non_blocking") and self._uploads(name, args, asked_there):
            self.log.waiting.append((resolve_name(func), traceback.extract_stack(limit=6)[:-1]))
        asked_here = any(map(_means_host, (*args, *kwargs.values()))) or name == "cpu"
        given = list(_tensors((*args, *kwargs.values())))
        there = [is_there(tensor) for tensor in given]
        if isinstance(own, torch.Tensor) and is_there(own):
            if name in _READS:
                raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")
            if name in _WAITS:
                _refuse_while_recording(name)
        if any(there) and name not in _TAKE_HOST and not (asked_here or asked_there):
            for tensor in given:
                if not is_there(tensor) and tensor.dim():
                    raise RuntimeError(
                        f"Expected all tensors to be on the same device, but found at least two: {resolve_name(func)}"
                    )
        on_device = asked_there or (any(there) and not asked_here)
        if on_device and current_stream() is DEFAULT and not getattr(_here, "quiet", False):
            self.log.on_default_stream.append((resolve_name(func), traceback.extract_stack(limit=6)[:-1]))
        if asked_here and any(there):
            _refuse_while_recording("a copy to the host")
            self.log.to_host += 1
        plain_index = name == "__getitem__" and not list(_tensors(args[1:]))
        if name not in _FREE and not plain_index and (on_device or any(there)):
            _count(1)
        args = tuple(_HOST if _means_gpu(value) else value for value in args)
        kwargs = {key: _HOST if _means_gpu(value) else value for key, value in kwargs.items()}
        if name == "as_tensor" and hasattr(own, "__cuda_array_interface__"):
            return _marked(_of_array(own.__cuda_array_interface__), True)
        result = func(*args, **kwargs)
        if isinstance(result, torch.Tensor) and result is own and name in ("to", "cpu", "cuda"):
            if asked_there == is_there(own) or not (asked_there or asked_here):
                return result
            result = result.clone()  # another memory
        if name in ("copy_", "__setitem__") or (name.endswith("_") and not name.endswith("__")):
            return result
        if pinned:
            result.pinned = True
        return _marked(result, on_device)

    @staticmethod
    def _uploads(name, args, asked_there):
        """Whether this copies from the host to the GPU, as far as that can be seen."""
        if name in ("tensor", "as_tensor") and asked_there:
            return not (isinstance(args[0], torch.Tensor) or hasattr(args[0], "__cuda_array_interface__"))
        if name == "to" and asked_there:
            return not is_there(args[0])
        return name == "copy_" and is_there(args[0]) and isinstance(args[1], torch.Tensor) and not is_there(args[1])

    @staticmethod
    def _from_pageable(name, args):
        """Whether this uploads memory that is not page-locked, which waits although it was asked not to."""
        source = args[1] if name == "copy_" else args[0]
        target_there = is_there(args[0]) if name == "copy_" else any(map(_means_gpu, args[1:]))
        if not target_there or is_there(source):
            return False
        while source is not None:
            if getattr(source, "pinned", False):
                return False
            source = source._base
        return True

    @staticmethod
    def _property(func, args):
        tensor, name = args[0], func.__self__.__name__
        if name == "is_cuda":
            return is_there(tensor)
        if name == "device" and is_there(tensor):
            return DEVICE
        result = func(*args)
        return _marked(result, is_there(tensor)) if isinstance(result, torch.Tensor) else result


def _of_array(interface):
    """A tensor over memory at an address, as torch makes it."""
    import ctypes

    import numpy as np

    address, read_only = interface["data"]
    if read_only:
        raise TypeError("the read only flag is not supported, should always be False")
    (size,) = interface["shape"]
    with torch._C.DisableTorchFunction():
        return torch.from_numpy(np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address)))


@contextmanager
def cuda_on_cpu(capability=(9, 0)):
    """torch has one GPU for as long as this lasts, in this thread and in those that are started meanwhile."""
    log = SimpleNamespace(on_default_stream=[], to_host=0, pageable=[], waiting=[])
    generator, run = torch.Generator, threading.Thread.run

    move = torch.nn.Module.to

    def moved(self, *args, **kwargs):
        found = move(self, *args, **kwargs)
        if any(map(_means_gpu, (*args, *kwargs.values()))):
            for tensor in (*found.parameters(), *found.buffers()):
                tensor.on_gpu = True
        return found

    def run_with_gpu(self):
        with OnCpu(log):
            run(self)

    properties = SimpleNamespace(
        name="Stand-in", total_memory=8 << 30, multi_processor_count=4, L2_cache_size=1 << 20,
        major=capability[0], minor=capability[1],
    )  # fmt: skip
    replaced = {
        "Stream": Stream, "Event": Event, "CUDAGraph": Graph, "graph": graph, "stream": stream,
        "current_stream": current_stream, "default_stream": lambda device=None: DEFAULT,
        "is_available": lambda: True, "device_count": lambda: 1, "current_device": lambda: 0,
        "synchronize": lambda device=None: _refuse_while_recording("synchronizing the device"),
        "empty_cache": lambda: None, "mem_get_info": lambda device=None: (4 << 30, 8 << 30),
        "get_device_properties": lambda device=None: properties,
        "get_device_capability": lambda device=None: capability,
        "get_device_name": lambda device=None: properties.name,
        "graph_pool_handle": lambda: (0, 1),
        "max_memory_allocated": lambda device=None: 0, "memory_allocated": lambda device=None: 0,
        "memory_reserved": lambda device=None: 0, "reset_peak_memory_stats": lambda device=None: None,
    }  # fmt: skip

    @contextmanager
    def device(chosen):
        yield

    @contextmanager
    def named(*args):
        yield

    with ExitStack() as stack:
        for name, value in replaced.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, value))
        stack.enter_context(mock.patch.object(torch.cuda, "device", device))
        stack.enter_context(mock.patch.object(torch.cuda.nvtx, "range", named))
        stack.enter_context(mock.patch.object(torch, "Generator", lambda device=None: generator("cpu")))  # noqa: PT008
        stack.enter_context(mock.patch.object(torch.nn.Module, "to", moved))
        stack.enter_context(mock.patch.object(threading.Thread, "run", run_with_gpu))
        stack.enter_context(OnCpu(log))
        yield log
