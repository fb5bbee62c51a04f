"""The doctor says what is there and what would fall back, with a GPU, without one, and with a broken one."""

import io
import json
from dataclasses import asdict, replace

import av
import pytest
import torch
from rich.console import Console

from engine import doctor
from engine.decode.caps import CodecCaps, DecoderCaps
from engine.kernel_module import kernel_module

CAPS = DecoderCaps(
    "cuda:0",
    (
        CodecCaps("h264", 8, True, 7, 48, 16, 4096, 4096, 65536),
        CodecCaps("h264", 10, False),
        CodecCaps("hevc", 8, True, 7, 144, 144, 8192, 8192, 262144),
        CodecCaps("hevc", 10, True, 7, 144, 144, 8192, 8192, 262144),
        CodecCaps("av1", 8, False),
    ),
)


class Properties:
    name = "Some GPU"
    total_memory = 80 * 2**30
    major, minor = 9, 0


@pytest.fixture
def one_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: Properties)
    monkeypatch.setattr(doctor, "query_caps", lambda index: CAPS)
    monkeypatch.setattr(doctor, "load_library", lambda name: None)


def written(findings):
    out = io.StringIO()
    doctor.render(findings, Console(file=out, width=200))
    return out.getvalue()


@pytest.mark.parametrize(
    ("number", "word"),
    [
        ("8.1.2", "older than 8.1.3"),
        ("n7.1-12-gabc", "older than 8.1.3"),
        ("5.1.9-0+deb12u1", "older than 8.1.3"),
        ("8.1", "older than 8.1.3"),
        ("N-118000-gabcdef", "no release"),
        ("8.1.3", None),
        ("8.2", None),
        ("n9.0.1", None),
    ],
)
def test_ffmpeg_older_than_its_security_fixes_is_warned_of(number, word):
    warning = doctor.ffmpeg_warning(number)
    assert (warning is None) if word is None else (word in warning)


def test_the_ffmpeg_in_use_is_named(monkeypatch):
    assert av.ffmpeg_version_info in written(doctor.examine())
    monkeypatch.setattr(av, "ffmpeg_version_info", "8.1.2")
    assert any("older than 8.1.3" in warning for warning in doctor.examine().warnings)


def test_without_a_gpu_everything_falls_back_and_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    findings = doctor.examine()
    assert findings.gpus == ()
    assert {kind.decoder for kind in findings.streams} == {"software"}
    assert "no CUDA device" in findings.notes[0]
    text = written(findings)
    assert "the device is the CPU" in text
    assert torch.__version__.partition("+")[0] in text


def test_with_a_gpu_it_shows_caps_fallbacks_and_the_registry_keys(one_gpu):
    findings = doctor.examine()
    (gpu,) = findings.gpus
    decoders = {kind.name: kind.decoder for kind in gpu.streams}
    assert decoders == {
        "H.264": "nvdec",
        "H.264 interlaced": "software",
        "H.264 10 bit": "software",
        "H.264 4:2:2": "software",
        "HEVC": "nvdec",
        "HEVC 10 bit": "nvdec",
        "MPEG-2": "software",
        "VP9": "software",
        "AV1": "software",
    }
    assert all(kind.reason for kind in gpu.streams)
    assert any("RMIncreaseRsvdMemorySizeMB=1024" in note and "200 decoders" in note for note in findings.notes)
    text = written(findings)
    assert "Some GPU, 80 GiB, compute 9.0" in text
    assert "combing" in text


VERSION = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (root@host)\n"
ALL = "RMDebugOverridePerRunlistChannelRam=1;RMIncreaseRsvdMemorySizeMB=1024;RMDisableChIdIsolation=0x1;"


@pytest.mark.parametrize(
    ("registry", "said"),
    [
        ("", "it lacks RMDebugOverridePerRunlistChannelRam, RMIncreaseRsvdMemorySizeMB, RMDisableChIdIsolation, Rm"),
        (ALL, "it lacks RmGspFirmwareHeapSizeMB"),
        (ALL.replace("1024", "512") + "RmGspFirmwareHeapSizeMB=256", "it lacks RMIncreaseRsvdMemorySizeMB"),
        (ALL.lower() + " rmgspfirmwareheapsizemb=256; PowerMizer=x", "has the settings"),
        (None, "does not show them here: RMDebugOverridePerRunlistChannelRam=1; RMIncreaseRsvdMemorySizeMB=1024"),
    ],
)
def test_the_settings_of_the_kernel_module_are_read_and_compared(one_gpu, monkeypatch, tmp_path, registry, said):
    (tmp_path / "version").write_text(VERSION)
    if registry is not None:
        lines = f'EnableMSI: 1\nRegistryDwords: "{registry}"\nRegistryDwordsPerDevice: "pci=0000:01:00.0"\nRmMsg: ""\n'
        (tmp_path / "params").write_text(lines)
    monkeypatch.setattr(doctor, "kernel_module", lambda: kernel_module(tmp_path))
    findings = doctor.examine()
    (note,) = [note for note in findings.notes if "200 decoders" in note]
    assert said in note
    assert "580.65.06" in written(findings)


def test_without_the_kernel_module_nothing_is_said_of_it(tmp_path):
    assert kernel_module(tmp_path / "none") is None


def test_gpu_whose_nvdec_cannot_be_asked_is_warned_of(one_gpu, monkeypatch):
    monkeypatch.setattr(doctor, "query_caps", lambda index: DecoderCaps("cuda:0", (), "libnvcuvid.so.1 is missing"))
    findings = doctor.examine()
    assert any("libnvcuvid.so.1 is missing" in warning for warning in findings.warnings)
    assert {kind.decoder for kind in findings.gpus[0].streams} == {"software"}


def test_broken_driver_is_a_warning_and_not_a_crash(monkeypatch):
    def fail():
        raise RuntimeError("CUDA unknown error")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", fail)
    findings = doctor.examine()
    assert any("CUDA unknown error" in warning for warning in findings.warnings)
    assert findings.gpus == ()


def test_missing_library_is_a_warning(monkeypatch):
    known = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "PyNvVideoCodec" else known(name))
    assert "PyNvVideoCodec is not installed" in doctor.examine().warnings


def test_json_holds_the_same_findings_on_one_line(capsys):
    assert doctor.main("json") == 0
    out = capsys.readouterr().out
    assert len(out.strip().splitlines()) == 1
    findings = replace(doctor.examine())
    assert json.loads(out) == json.loads(json.dumps(asdict(findings)))
