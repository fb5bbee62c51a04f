"""What a run of `make gpu-check` measured, as charts for docs/gpu.md; one that the run has nothing for is left out."""

from typing import Any, Final

from benchmarks.charts import bars, lines_over

Found = dict[str, Any]
TITLES: Final = {
    "gpu-decode": "Pictures per second by NVDEC sessions",
    "gpu-streams": "Packet to verdict by streams in real time",
    "gpu-kernels": "Kernels' time over that of a copy of the same pictures",
}
"""By name of the chart's file."""


def charts(parts: Found) -> dict[str, str]:
    """SVG by name.

    Args:
        parts: of a record of `make gpu-check`.
    """
    found = {"gpu-decode": _decode(parts), "gpu-streams": _streams(parts), "gpu-kernels": _kernels(parts)}
    return {name: chart for name, chart in found.items() if chart}


def _decode(parts: Found) -> str:
    rows = parts.get("decode", {}).get("counts", [])
    series = {
        "decoded": [(row["sessions"], row["decode_rate"]) for row in rows],
        "judged": [(row["sessions"], max(p["frames_per_second"] for p in row["pipeline"])) for row in rows],
    }
    return lines_over(TITLES["gpu-decode"], series, "sessions", "a second") if rows else ""


def _streams(parts: Found) -> str:
    rows = [row for row in parts.get("streams", {}).get("in_real_time", []) if row.get("latency_ms")]
    series = {share: [(row["streams"], row["latency_ms"][share]) for row in rows] for share in ("p50", "p99")}
    return lines_over(TITLES["gpu-streams"], series, "streams of 1080p", "ms") if rows else ""


def _kernels(parts: Found) -> str:
    kernels = parts.get("kernels", {})
    rows = [
        (name, {"time": found["time_over_copy"]["p50"]})
        for name, found in kernels.items()
        if isinstance(found, dict) and "time_over_copy" in found
    ]
    return bars(TITLES["gpu-kernels"], rows, "x") if rows else ""
