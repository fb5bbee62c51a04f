"""What the NVIDIA driver of this machine offers, asked through ctypes.

Asked before PyNvVideoCodec is loaded: a failing cuInit inside its CreateDecoder ends the whole process.
"""

import ctypes
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any

from engine.errors import DeviceError

_CONTAINER = "install the NVIDIA driver; in a container ask for the capabilities compute, utility and video"
_BLOCKING_SYNC = 4  # CU_CTX_SCHED_BLOCKING_SYNC
_ALREADY_ACTIVE = 708  # CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE


def _unavailable(why: str, remedy: str = _CONTAINER) -> DeviceError:
    return DeviceError("no usable NVIDIA GPU", why=why, remedy=remedy)


def load_library(name: str) -> ctypes.CDLL:
    """Open a library of the driver.

    Raises: DeviceError if it is not there.
    """
    try:
        return ctypes.CDLL(name)
    except OSError as exc:
        raise _unavailable(f"{name} cannot be loaded ({exc})") from exc


@cache
def cuda_driver() -> ctypes.CDLL:
    """The initialised CUDA driver.

    Raises: DeviceError if there is none or it refuses; the process goes on.
    """
    driver = load_library("libcuda.so.1")
    code = driver.cuInit(0)
    if code:
        raise _unavailable(
            f"cuInit answers {error_name(driver, code)}", "see whether nvidia-smi works; repair the driver"
        )
    return driver


def error_name(driver: ctypes.CDLL, code: int) -> str:
    """The driver's own name of a CUresult, with its number."""
    text = ctypes.c_char_p()
    if driver.cuGetErrorName(code, ctypes.byref(text)) == 0 and text.value:
        return f"{text.value.decode('ascii', 'replace')} ({code})"
    return f"error {code}"


def check_device(index: int) -> None:
    """Make sure that CUDA works and that the device is there.

    Args:
        index: CUDA ordinal.
    Raises: DeviceError with the reason.
    """
    driver = cuda_driver()
    count = ctypes.c_int()
    code = driver.cuDeviceGetCount(ctypes.byref(count))
    if code:
        raise _unavailable(f"cuDeviceGetCount answers {error_name(driver, code)}")
    if not 0 <= index < count.value:
        raise _unavailable(f"there is no device {index}, {count.value} found", "choose one that `avjury doctor` lists")


def wait_by_blocking(index: int) -> str:
    """Let waiting threads sleep instead of spin: with a decode thread per stream, spinning burns every core.

    To be called before torch touches CUDA; afterwards the flag of the primary context can no longer be trusted.

    Args:
        index: CUDA ordinal.
    Returns: "" if it is set, else why not.
    Raises: DeviceError if the device is not there.
    """
    check_device(index)
    driver = cuda_driver()
    code = driver.cuDevicePrimaryCtxSetFlags_v2(index, _BLOCKING_SYNC)
    if code == _ALREADY_ACTIVE:
        return "CUDA was already in use in this process"
    return error_name(driver, code) if code else ""


@contextmanager
def _primary_context(index: int) -> Any:
    check_device(index)
    driver = cuda_driver()
    context = ctypes.c_void_p()
    code = driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), index)
    if code:
        raise _unavailable(f"cuDevicePrimaryCtxRetain answers {error_name(driver, code)}")
    try:
        code = driver.cuCtxPushCurrent_v2(context)
        if code:
            raise _unavailable(f"cuCtxPushCurrent answers {error_name(driver, code)}")
        try:
            yield
        finally:
            driver.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))
    finally:
        driver.cuDevicePrimaryCtxRelease_v2(index)


primary_context: Callable[[int], AbstractContextManager[None]] = _primary_context
"""The device's primary context, torch's own, current in this thread. Raises DeviceError."""


def driver_version() -> str | None:
    """The highest CUDA version of the installed driver ("13.0"); None without a driver."""
    try:
        driver = cuda_driver()
    except DeviceError:
        return None
    version = ctypes.c_int()
    if driver.cuDriverGetVersion(ctypes.byref(version)):
        return None
    return f"{version.value // 1000}.{version.value % 1000 // 10}"
