"""What this machine can do, and what would fall back."""

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = ("torch", "torchvision", "torchaudio", "triton", "numpy", "numba", "av", "PyNvVideoCodec")
# CVE-2026-107695, -107697 and -107698 are mended in it.
SAFE_FFMPEG = (8, 1, 3)


def examine() -> dict[str, Any]:
    """Look at the machine. Works without a GPU.

    Returns: python, packages (version or None), ffmpeg, gpus (name, driver-visible memory in bytes), nvdec per GPU,
        warnings.
    """
    import av
    import torch

    from engine.decode.caps import query_caps

    packages: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = None
    ffmpeg = str(av.ffmpeg_version_info)
    warnings = []
    numbers = tuple(int(part) for part in ffmpeg.lstrip("n").split("-")[0].split(".") if part.isdigit())
    if numbers and numbers < SAFE_FFMPEG:
        warnings.append(f"FFmpeg {ffmpeg} is older than 8.1.3, which mends flaws in playlists: open trusted inputs only")
    gpus = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(index)
        caps = query_caps(index)
        gpus.append(
            {
                "device": f"cuda:{index}",
                "name": properties.name,
                "memory_bytes": properties.total_memory,
                "nvdec": [f"{c.codec} {c.bit_depth} bit" for c in caps.codecs if c.supported],
                "problem": caps.problem,
            }
        )
    if not gpus:
        warnings.append("no CUDA device: decoding and kernels run on the CPU")
    return {
        "python": platform.python_version(),
        "packages": packages,
        "ffmpeg": ffmpeg,
        "gpus": gpus,
        "warnings": warnings,
    }


def main(format: str) -> int:
    """Print the findings.

    Args:
        format: "table", or "json" and "jsonl" for one JSON object.
    Returns: the exit code, 0.
    """
    import typer

    found = examine()
    if str(format) != "table":
        typer.echo(json.dumps(found))
        return 0
    lines = [f"python {found['python']}", f"ffmpeg {found['ffmpeg']} (in PyAV)"]
    lines += [f"{name} {number or 'missing'}" for name, number in found["packages"].items()]
    for gpu in found["gpus"]:
        nvdec = gpu["problem"] or ", ".join(gpu["nvdec"]) or "decodes nothing"
        lines.append(f"{gpu['device']} {gpu['name']}, {gpu['memory_bytes'] / 2**30:.0f} GiB; NVDEC: {nvdec}")
    lines += [f"warning: {warning}" for warning in found["warnings"]]
    typer.echo("\n".join(lines))
    return 0
