"""What NVIDIA's kernel module was loaded with: its version, and the settings that many decoders need.

Source: NVIDIA driver README, "The /proc Interface"; DeepStream, performance page (the keys).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path("/proc/driver/nvidia")
REGISTRY_KEYS: Final = {
    "RMDebugOverridePerRunlistChannelRam": 1,
    "RMIncreaseRsvdMemorySizeMB": 1024,
    "RMDisableChIdIsolation": 1,
    "RmGspFirmwareHeapSizeMB": 256,
}
"""Settings with which one GPU has channels for more than some 200 decoders."""
_REGISTRY: Final = re.compile(r'^RegistryDwords(?:PerDevice)?:\s*"(.*)"\s*$', re.MULTILINE)
_VERSION: Final = re.compile(r"^NVRM version:.*?\s(\d+\.\d+(?:\.\d+)?)\s", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class KernelModule:
    """As it runs now.

    Args:
        version: "580.65.06"; "" where it does not say.
        registry: its settings that are not the usual ones, by name; None where it does not say.
    """

    version: str
    registry: dict[str, int] | None

    @property
    def lacking(self) -> tuple[str, ...]:
        """Of the settings that many decoders need, those that are not there or lower."""
        held = {name.lower(): value for name, value in (self.registry or {}).items()}
        return tuple(name for name, least in REGISTRY_KEYS.items() if held.get(name.lower(), 0) < least)


def kernel_module(folder: Path = FOLDER) -> KernelModule | None:
    """What the module says of itself; None where there is none.

    Args:
        folder: where it shows its state.
    """
    version, settings = _read(folder / "version"), _read(folder / "params")
    if version is None and settings is None:
        return None
    named = _VERSION.search(version or "")
    registry: dict[str, int] | None = None
    if settings is not None:
        registry = {}
        for listed in _REGISTRY.findall(settings):
            registry |= _numbers(listed)
    return KernelModule(named[1] if named else "", registry)


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _numbers(listed: str) -> dict[str, int]:
    """Of "name=1;other=0x2"; what is no number, such as a device's address, is passed over."""
    found = {}
    for part in re.split(r"[;,]", listed):
        name, _, value = part.strip().partition("=")
        try:
            found[name.strip()] = int(value.strip(), 0)
        except ValueError:
            continue
    return found
