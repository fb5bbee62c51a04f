"""How busy the machine's GPUs and their decoders are, by NVIDIA's management library. Asked at each scrape.

It is the whole machine's: other processes count too. Nothing is shown where there is no NVIDIA driver.
"""

import logging
from collections.abc import Iterator
from typing import Any, Final

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

_log: Final = logging.getLogger(__name__)
_FAMILIES: Final = (
    ("avjury_gpu_utilization_ratio", "Share of the last moments in which a kernel ran."),
    ("avjury_gpu_nvdec_utilization_ratio", "Share of the last moments in which the decoders were busy."),
    ("avjury_gpu_memory_used_bytes", "Memory in use, by all processes."),
    ("avjury_gpu_memory_bytes", "Memory that there is."),
)


class GpuMetrics:
    """The families, as a part of the service's collector."""

    def __init__(self) -> None:
        self._library: Any = None
        self._problem: str | None = None

    def collect(self) -> Iterator[Metric]:
        """All families; none without a driver. `gpu` is NVIDIA's number, which need not be CUDA's."""
        library = self._opened()
        if library is None:
            return
        families = [GaugeMetricFamily(name, text, labels=["gpu", "uuid"]) for name, text in _FAMILIES]
        try:
            for index in range(library.nvmlDeviceGetCount()):
                self._add(library, index, families)
        except library.NVMLError as error:
            self._tell(str(error))  # a GPU fell off the bus: what was read of the others stands
        yield from families

    def used(self, index: int) -> dict[str, float] | None:
        """Share in use of a GPU's decoders ("nvdec") and memory ("memory"); None where it is not known."""
        library = self._opened()
        if library is None:
            return None
        try:
            handle = library.nvmlDeviceGetHandleByIndex(index)
            memory = library.nvmlDeviceGetMemoryInfo(handle)
            return {"nvdec": _decoders_busy(library, handle), "memory": memory.used / memory.total}
        except library.NVMLError as error:
            self._tell(str(error))
            return None

    def _add(self, library: Any, index: int, families: list[GaugeMetricFamily]) -> None:
        handle = library.nvmlDeviceGetHandleByIndex(index)
        labels = [str(index), library.nvmlDeviceGetUUID(handle)]
        memory = library.nvmlDeviceGetMemoryInfo(handle)
        busy: list[float | None] = [None, None]
        # Cut into slices (MIG), a GPU does not say how busy it is.
        for place, ask in enumerate((_kernels_busy, _decoders_busy)):
            try:
                busy[place] = ask(library, handle)
            except library.NVMLError_NotSupported:
                continue
        for family, value in zip(families, (*busy, memory.used, memory.total), strict=True):
            if value is not None:
                family.add_metric(labels, value)

    def _opened(self) -> Any:
        if self._library is None and self._problem is None:
            try:
                import pynvml  # not before it is asked for

                pynvml.nvmlInit()
                self._library = pynvml
            except Exception as error:  # noqa: BLE001 - no driver, a broken one, or none for this kernel: no figures
                self._tell(str(error))
        return self._library

    def _tell(self, problem: str) -> None:
        if problem != self._problem:
            _log.info("no figures of GPUs: %s", problem)
        self._problem = problem


def _kernels_busy(library: Any, handle: Any) -> float:
    return float(library.nvmlDeviceGetUtilizationRates(handle).gpu) / 100


def _decoders_busy(library: Any, handle: Any) -> float:
    percent, _ = library.nvmlDeviceGetDecoderUtilization(handle)
    return float(percent) / 100
