"""NVDEC on a real GPU gives the standard's pictures: H.264 and HEVC decoding is exact to the last bit.

`pictures.json` holds the digest of each clip as libav decodes it, so that nothing but torch is needed on the GPU.
"""

import ctypes
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from engine.decode.headers import HeaderWatch
from engine.decode.nal import split_access_units
from engine.media import Packet, VideoInfo

CLIPS = Path(__file__).parents[1] / "clips"
DIGESTS = json.loads((CLIPS / "pictures.json").read_text())


def clip(name):
    """The clip's packets, without a container's times, and its track."""
    codec = name.partition("_")[0]
    units = split_access_units((CLIPS / name).read_bytes(), codec)
    watch = HeaderWatch(codec)
    watch.read(units[0].data)
    fmt = watch.format
    info = VideoInfo(codec, "", fmt.width, fmt.height, "yuv420p", fmt.bit_depth, fmt.frame_rate, False, None)
    packets = [Packet(name, "video", None, None, 0.0, len(u.data), u.key, False, u.data) for u in units]
    return info, packets


def test_digests_are_those_of_libavs_pictures():
    av = pytest.importorskip("av")
    for name, expected in DIGESTS.items():
        digest = hashlib.md5(usedforsecurity=False)
        count = 0
        with av.open(str(CLIPS / name)) as container:
            for frame in container.decode(video=0):
                planar = frame.to_ndarray()
                if planar.dtype == np.uint16:
                    planar = planar << 6  # P016 keeps the sample in the high bits
                chroma = planar[frame.height :].reshape(2, -1)
                digest.update(planar[: frame.height].tobytes())
                digest.update(np.stack(tuple(chroma), axis=1).tobytes())
                count += 1
        assert [digest.hexdigest(), count] == expected, name


def pixels(surface):
    """The bytes of a surface on the GPU, luma then chroma."""
    from engine.decode.driver import cuda_driver, primary_context

    size = surface.luma_pitch * surface.height * 3 // 2
    host = (ctypes.c_ubyte * size)()
    with primary_context(int(surface.device.partition(":")[2])):
        code = cuda_driver().cuMemcpyDtoH_v2(host, ctypes.c_uint64(surface.addresses[0]), ctypes.c_size_t(size))
    assert code == 0
    return bytes(host)


@pytest.fixture
def pool():
    from engine.decode.nvdec_pool import DecoderPool

    with_gpu = DecoderPool(0)
    yield with_gpu
    with_gpu.close()


def digest_of(surfaces):
    digest = hashlib.md5(usedforsecurity=False)
    for surface in surfaces:
        digest.update(pixels(surface))
        surface.release()
    return digest.hexdigest()


@pytest.mark.gpu
@pytest.mark.parametrize("name", sorted(DIGESTS))
def test_every_picture_is_exact(pool, name):
    from engine.decode.nvdec import NvdecDecoder

    info, packets = clip(name)
    decoder = NvdecDecoder(info, name, pool)
    surfaces = [s for packet in packets for s in decoder.decode(packet)] + decoder.flush()
    decoder.close()
    count = len(surfaces)
    assert [digest_of(surfaces), count] == DIGESTS[name]
    assert decoder.errors == 0


@pytest.mark.gpu
def test_change_of_size_in_one_stream_keeps_every_picture_exact(pool):
    from engine.decode.nvdec import NvdecDecoder

    names = ["h264_320x180_8bit.h264", "h264_640x360_8bit.h264", "h264_320x180_8bit.h264"]
    info, _ = clip(names[0])
    decoder = NvdecDecoder(info, "s", pool)
    surfaces = [s for name in names for packet in clip(name)[1] for s in decoder.decode(packet)] + decoder.flush()
    decoder.close()
    at = 0
    for name in names:
        expected, count = DIGESTS[name]
        assert digest_of(surfaces[at : at + count]) == expected, name
        at += count
    assert at == len(surfaces)


@pytest.mark.gpu
def test_session_taken_over_from_another_stream_is_exact(pool):
    from engine.decode.nvdec import NvdecDecoder

    for name in ["h264_640x360_8bit.h264", "h264_320x180_8bit.h264", "h264_640x360_8bit.h264"]:
        info, packets = clip(name)
        decoder = NvdecDecoder(info, name, pool)
        surfaces = [s for packet in packets for s in decoder.decode(packet)] + decoder.flush()
        decoder.close()
        assert digest_of(surfaces) == DIGESTS[name][0], name
    assert pool.sessions_idle == 1


@pytest.mark.gpu
def test_damage_never_ends_a_stream_or_the_next_one(pool):
    import random

    from engine.decode.nvdec import NvdecDecoder

    name = "h264_320x180_8bit.h264"
    info, packets = clip(name)
    draw = random.Random(0)
    decoder = NvdecDecoder(info, name, pool)
    for i, packet in enumerate(packets):
        data = bytearray(packet.payload)
        if i % 5 == 3:
            for _ in range(20):
                data[draw.randrange(min(30, len(data) - 1), len(data))] ^= 255
        damaged = Packet(name, "video", None, None, 0.0, len(data), packet.key, False, bytes(data))
        for surface in decoder.decode(damaged):
            surface.release()
    for surface in decoder.flush():
        surface.release()
    decoder.close()
    assert decoder.name == "nvdec"
    again = NvdecDecoder(info, name, pool)
    surfaces = [s for packet in packets for s in again.decode(packet)] + again.flush()
    again.close()
    assert digest_of(surfaces) == DIGESTS[name][0]
