"""What this machine can do, and what would fall back to software, with the reasons. Works without a GPU."""

import json
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

from rich.console import Console
from rich.table import Table

from engine.decode.caps import SESSIONS_WITHOUT_REGISTRY_KEYS, CodecCaps, DecoderCaps, choose_decoder, query_caps
from engine.decode.driver import driver_version, load_library
from engine.errors import DeviceError
from engine.ffmpeg_release import ffmpeg_in_use, ffmpeg_warning
from engine.kernel_module import REGISTRY_KEYS, KernelModule, kernel_module
from engine.media import VideoInfo

PACKAGES = ("torch", "torchvision", "torchaudio", "triton", "numpy", "numba", "av", "PyNvVideoCodec")
# What streams usually are, and what decides their decoder: codec, profile, libav's pixel format, depth, interlaced.
_USUAL = (
    ("H.264", "h264", "High", "yuv420p", 8, False),
    ("H.264 interlaced", "h264", "High", "yuv420p", 8, True),
    ("H.264 10 bit", "h264", "High 10", "yuv420p10le", 10, False),
    ("H.264 4:2:2", "h264", "High 4:2:2", "yuv422p", 8, False),
    ("HEVC", "hevc", "Main", "yuv420p", 8, False),
    ("HEVC 10 bit", "hevc", "Main 10", "yuv420p10le", 10, False),
    ("MPEG-2", "mpeg2video", "Main", "yuv420p", 8, False),
    ("VP9", "vp9", "Profile 0", "yuv420p", 8, False),
    ("AV1", "av1", "Main", "yuv420p", 8, False),
)


@dataclass(frozen=True, slots=True)
class StreamKind:
    """What would decode a usual 1080p stream.

    Args:
        name: in words.
        decoder: "nvdec" or "software".
        reason: why.
    """

    name: str
    decoder: str
    reason: str


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU.

    Args:
        device: "cuda:N".
        name: the driver's.
        memory_bytes: all of it.
        compute_capability: "9.0".
        nvdec: per codec and depth.
        problem: why NVDEC cannot be used; "" where it can.
        streams: what would decode usual streams.
    """

    device: str
    name: str
    memory_bytes: int
    compute_capability: str
    nvdec: tuple[CodecCaps, ...]
    problem: str
    streams: tuple[StreamKind, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """What the doctor found.

    Args:
        python: version.
        packages: version of each library; None where it is missing.
        ffmpeg: of the libav that PyAV carries; None where it does not load.
        cuda_driver: highest CUDA version of the driver; None without one.
        kernel_module: NVIDIA's, and its settings; None without one, and where it does not show them.
        gpus: those that torch sees.
        streams: what would decode usual streams where there is no GPU; empty where there is one.
        notes: worth knowing.
        warnings: to be acted upon.
    """

    python: str
    packages: dict[str, str | None]
    ffmpeg: str | None
    cuda_driver: str | None
    kernel_module: KernelModule | None
    gpus: tuple[Gpu, ...]
    streams: tuple[StreamKind, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def usual_streams(device: str, caps: DecoderCaps | None) -> tuple[StreamKind, ...]:
    """What would decode each kind of usual stream on a device.

    Args:
        device: "cpu" or "cuda:N".
        caps: of that device.
    """
    kinds = []
    for name, codec, profile, pixels, depth, interlaced in _USUAL:
        info = VideoInfo(codec, profile, 1920, 1080, pixels, depth, 25.0, interlaced, None)
        choice = choose_decoder(info, device, caps)
        kinds.append(StreamKind(name, choice.decoder, choice.reason))
    return tuple(kinds)


def examine() -> Findings:
    """Look at the machine. Never raises for something that is missing: that is a finding."""
    packages = {name: _version(name) for name in PACKAGES}
    notes: list[str] = []
    warnings = [f"{name} is not installed" for name, number in packages.items() if number is None]
    ffmpeg = ffmpeg_in_use()
    trouble = ffmpeg_warning(ffmpeg) if ffmpeg else "PyAV does not load: only elementary streams can be read"
    if trouble:
        warnings.append(trouble)
    gpus, module = _gpus(warnings), kernel_module()
    if gpus and any(not gpu.problem for gpu in gpus):
        try:
            load_library("libnvidia-encode.so.1")
        except DeviceError as error:
            warnings.append(f"PyNvVideoCodec will not load, so everything is decoded in software: {error.why}")
        notes.append(_many_decoders(module))
    if not gpus:
        notes.append("no CUDA device: decoding and kernels run on the CPU")
    return Findings(
        python=platform.python_version(),
        packages=packages,
        ffmpeg=ffmpeg,
        cuda_driver=driver_version(),
        kernel_module=module,
        gpus=tuple(gpus),
        streams=() if gpus else usual_streams("cpu", None),
        notes=tuple(notes),
        warnings=tuple(warnings),
    )


def _many_decoders(module: KernelModule | None) -> str:
    """What more decoders than usual need of the kernel module, and what of it is there."""
    wanted = "; ".join(f"{name}={value}" for name, value in REGISTRY_KEYS.items())
    many = f"more than about {SESSIONS_WITHOUT_REGISTRY_KEYS} decoders on one GPU"
    if module is None or module.registry is None:
        return f"{many} need settings of NVIDIA's kernel module, which does not show them here: {wanted}"
    if not module.lacking:
        return f"{many} can be made: NVIDIA's kernel module has the settings that they need"
    return f"{many} need settings of NVIDIA's kernel module: {wanted}; it lacks {', '.join(module.lacking)}"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _gpus(warnings: list[str]) -> list[Gpu]:
    import torch

    # torch.cuda says no where there is no driver, and raises where there is a broken one.
    try:
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    except RuntimeError as error:
        warnings.append(f"torch cannot use CUDA: {error}")
        return []
    gpus = []
    for index in range(count):
        device = f"cuda:{index}"
        properties = torch.cuda.get_device_properties(index)
        caps = query_caps(index)
        if caps.problem:
            warnings.append(f"{device} has no NVDEC, everything is decoded in software: {caps.problem}")
        gpus.append(
            Gpu(
                device=device,
                name=properties.name,
                memory_bytes=properties.total_memory,
                compute_capability=f"{properties.major}.{properties.minor}",
                nvdec=caps.codecs,
                problem=caps.problem,
                streams=usual_streams(device, caps),
            )
        )
    return gpus


def render(findings: Findings, console: Console) -> None:
    """Write the findings as tables.

    Args:
        findings: of `examine`.
        console: where to.
    """
    libraries = Table(title="Libraries", title_justify="left")
    libraries.add_column("library")
    libraries.add_column("version")
    libraries.add_row("python", findings.python)
    for name, number in findings.packages.items():
        libraries.add_row(name, number or "missing")
    libraries.add_row("FFmpeg (in PyAV)", findings.ffmpeg or "missing")
    libraries.add_row("CUDA of the driver", findings.cuda_driver or "no driver")
    if findings.kernel_module is not None:
        libraries.add_row("NVIDIA's kernel module", findings.kernel_module.version or "unknown")
    console.print(libraries)
    for gpu in findings.gpus:
        console.print(
            f"{gpu.device}: {gpu.name}, {gpu.memory_bytes / 2**30:.0f} GiB, compute {gpu.compute_capability}",
            markup=False,
        )
        if gpu.nvdec:
            console.print(_nvdec_table(gpu))
        console.print(_streams_table(f"1080p streams on {gpu.device}", gpu.streams))
    if findings.streams:
        console.print(_streams_table("1080p streams on this machine", findings.streams))
    for note in findings.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    for warning in findings.warnings:
        console.print(f"warning: {warning}", markup=False, soft_wrap=True)


def _nvdec_table(gpu: Gpu) -> Table:
    table = Table(title=f"NVDEC of {gpu.device}", title_justify="left")
    for column in ("codec", "bit", "decodes", "engines", "largest"):
        table.add_column(column)
    for caps in gpu.nvdec:
        largest = f"{caps.max_width}x{caps.max_height}" if caps.supported else ""
        engines = str(caps.engines) if caps.supported else ""
        table.add_row(caps.codec, str(caps.bit_depth), "yes" if caps.supported else "no", engines, largest)
    return table


def _streams_table(title: str, streams: tuple[StreamKind, ...]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in ("stream", "decoder", "why"):
        table.add_column(column)
    for kind in streams:
        table.add_row(kind.name, kind.decoder, kind.reason)
    return table


def main(format: str) -> int:
    """Print the findings.

    Args:
        format: "table", or "json" and "jsonl" for one JSON object.
    Returns: the exit code, 0.
    """
    findings = examine()
    if str(format) == "table":
        render(findings, Console())
    else:
        Console(soft_wrap=True).out(json.dumps(asdict(findings)), highlight=False)
    return 0
