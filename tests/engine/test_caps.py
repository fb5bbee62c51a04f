"""The choice between NVDEC and software is made from what the GPU says, and always says why."""

import json

import pytest
from bitwriter import h264_sps
from fake_driver import over_fake_driver  # noqa: F401 - a fixture

from engine.decode.caps import CodecCaps, DecoderCaps, choose_decoder, query_caps, refusal
from engine.decode.sequence import parse_sps
from engine.media import VideoInfo

HOPPER = DecoderCaps(
    "cuda:0",
    (
        CodecCaps("h264", 8, True, 7, 48, 16, 4096, 4096, 65536),
        CodecCaps("h264", 10, False),
        CodecCaps("hevc", 8, True, 7, 144, 144, 8192, 8192, 262144),
        CodecCaps("hevc", 10, True, 7, 144, 144, 8192, 8192, 262144),
        CodecCaps("av1", 8, False),
    ),
)


def video(codec="h264", pixels="yuv420p", depth=8, size=(1920, 1080), interlaced=False, profile="High"):
    return VideoInfo(codec, profile, *size, pixels, depth, 25.0, interlaced, None)


@pytest.mark.parametrize(
    "info",
    [video(), video("hevc"), video("hevc", "yuv420p10le", 10), video(pixels="yuvj420p"), video(size=(48, 16))],
    ids=["h264", "hevc", "hevc10", "full-range", "smallest"],
)
def test_what_the_gpu_decodes_goes_to_nvdec(info):
    choice = choose_decoder(info, "cuda:0", HOPPER)
    assert choice.decoder == "nvdec"
    assert info.codec in choice.reason


@pytest.mark.parametrize(
    ("info", "word"),
    [
        (video(pixels="yuv420p10le", depth=10), "h264 at 10 bit"),
        (video(pixels="yuv422p"), "yuv422p"),
        (video("hevc", "yuv444p"), "yuv444p"),
        (video("av1"), "av1"),
        (video("mpeg2video"), "mpeg2video"),
        (video("prores"), "prores"),
        (video(interlaced=True), "interlaced"),
        (video(size=(0, 0)), "does not say"),
        (video(pixels="", depth=0), "does not say"),
        (video(size=(32, 16)), "below"),
        (video(size=(7680, 4320)), "above"),
        (video("hevc", "yuv420p12le", 12), "hevc at 12 bit"),
        (video(profile="Extended"), "Extended"),
    ],
)
def test_what_it_does_not_decode_goes_to_software_with_the_reason(info, word):
    choice = choose_decoder(info, "cuda:0", HOPPER)
    assert choice.decoder == "software"
    assert word in choice.reason


def test_on_the_cpu_or_without_nvdec_everything_goes_to_software():
    assert choose_decoder(video(), "cpu", HOPPER).decoder == "software"
    assert "not asked" in choose_decoder(video(), "cuda:0", None).reason
    broken = DecoderCaps("cuda:0", (), "libnvcuvid.so.1 cannot be loaded")
    assert choose_decoder(video(), "cuda:0", broken).reason == "no NVDEC: libnvcuvid.so.1 cannot be loaded"


def test_bitstream_is_checked_again_as_containers_are_wrong():
    assert refusal(parse_sps(h264_sps(1920, 1080), "h264"), HOPPER) == ""
    assert "interlaced" in refusal(parse_sps(h264_sps(1920, 1080, frames_only=False), "h264"), HOPPER)
    assert "4:2:2" in refusal(parse_sps(h264_sps(1920, 1080, profile=122, chroma=2), "h264"), HOPPER)
    assert "grey" in refusal(parse_sps(h264_sps(1920, 1080, chroma=0), "h264"), HOPPER)
    assert "10 bit" in refusal(parse_sps(h264_sps(1920, 1080, profile=110, bit_depth=10), "h264"), HOPPER)
    assert "above" in refusal(parse_sps(h264_sps(8192, 4320), "h264"), HOPPER)


def test_driver_is_asked_for_every_codec(over_fake_driver):  # noqa: F811
    script = """
import json
from dataclasses import asdict
from engine.decode.caps import query_caps
caps = query_caps(0)
print(json.dumps([caps.problem, {f"{c.codec}{c.bit_depth}": asdict(c) for c in caps.codecs}, query_caps(3).problem]))
"""
    problem, codecs, absent = json.loads(over_fake_driver(script).stdout)
    assert problem == ""
    assert codecs["hevc10"] == {
        "codec": "hevc",
        "bit_depth": 10,
        "supported": True,
        "engines": 7,
        "min_width": 48,
        "min_height": 16,
        "max_width": 8192,
        "max_height": 8192,
        "max_macroblocks": 262144,
    }
    assert [codecs[k]["supported"] for k in ("h2648", "h26410", "av18")] == [True, False, False]
    assert "there is no device 3" in absent


def test_no_driver_is_an_answer_and_not_an_error(monkeypatch):
    from engine.decode import driver

    driver.cuda_driver.cache_clear()
    monkeypatch.setattr(driver.ctypes, "CDLL", lambda name: (_ for _ in ()).throw(OSError(f"{name}: not found")))
    try:
        caps = query_caps(0)
    finally:
        driver.cuda_driver.cache_clear()
    assert caps.codecs == ()
    assert "libcuda.so.1" in caps.problem


@pytest.mark.gpu
def test_this_gpu_decodes_h264_and_hevc():
    caps = query_caps(0)
    assert caps.problem == ""
    for codec in ("h264", "hevc"):
        entry = caps.find(codec, 8)
        assert entry is not None
        assert entry.supported
        assert entry.engines >= 1
        assert entry.max_width >= 4096
