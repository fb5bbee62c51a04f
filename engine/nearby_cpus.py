"""The cores that are nearest to a GPU: memory of the other socket reaches it by a detour.

Called once by an engine's process, before it starts threads: those inherit the choice.
"""

import ctypes
import os
from pathlib import Path

from engine.decode.driver import check_device, cuda_driver

SYSTEM = Path("/sys/bus/pci/devices")


def address_of(index: int) -> str:
    """The PCI address of a GPU, as sysfs writes it ("0000:17:00.0").

    Args:
        index: CUDA ordinal.
    Raises: DeviceError if CUDA or the device is not there.
    """
    check_device(index)
    text = ctypes.create_string_buffer(64)
    if cuda_driver().cuDeviceGetPCIBusId(text, len(text), index):
        return ""
    return text.value.decode("ascii", "replace").lower()


def cpus_near(address: str, devices: Path = SYSTEM) -> frozenset[int]:
    """The cores that the machine's topology calls local to a device; none where it does not say.

    Args:
        address: of `address_of`.
        devices: where the kernel shows PCI devices.
    """
    try:
        listed = (devices / address / "local_cpulist").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return frozenset()
    return parse_cpu_list(listed)


def parse_cpu_list(text: str) -> frozenset[int]:
    """The numbers of a list such as "0-3,8,10-11"; none of a list that is malformed.

    Source: Linux, Documentation/admin-guide/cputopology.rst.
    """
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        if not first.isdigit() or not (last or first).isdigit():
            return frozenset()
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def stay_near(index: int, devices: Path = SYSTEM) -> frozenset[int]:
    """Run this process on the cores near a GPU, of those that it may use at all.

    Args:
        index: CUDA ordinal.
        devices: where the kernel shows PCI devices.
    Returns: the cores that it was narrowed to; none where that changes nothing or is not known.
    Raises: DeviceError if CUDA or the device is not there.
    """
    allowed = os.sched_getaffinity(0)
    near = cpus_near(address_of(index), devices) & allowed
    if not near or near == allowed:
        return frozenset()
    os.sched_setaffinity(0, near)
    return near
