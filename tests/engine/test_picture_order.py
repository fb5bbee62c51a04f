"""Reference pictures of MPEG-2 that are lost are known by the numbers of the others; nothing else is told."""

from fractions import Fraction

import av
import numpy as np
import pytest
from media import media_dir

from engine.decode.picture_order import PictureOrder

RATE = 25
SIZE = (96, 80)


def coded(seconds=4, interlaced=False, **options):
    """Packets of MPEG-2 as its encoder gives them, in coded order, of pictures that move."""
    context = av.CodecContext.create("mpeg2video", "w")
    context.width, context.height = SIZE
    context.pix_fmt, context.framerate, context.time_base = "yuv420p", Fraction(RATE), Fraction(1, RATE)
    context.thread_count = 1
    flags = {"flags": "+ildct+ilme"} if interlaced else {}
    context.options = {"g": "12", "bf": "2", "sc_threshold": "1000000000", **flags, **options}
    packets = []
    texture = np.random.default_rng(1).integers(40, 200, (SIZE[1] * 3 // 2, 512), np.uint8)
    for n in range(seconds * RATE):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(texture[:, 2 * n : 2 * n + SIZE[0]]), format="yuv420p")
        frame.pts = n
        packets += context.encode(frame)
    return packets + context.encode(None)


def kind(packet):
    """picture_coding_type: 1 needs no other, 2 is referred to, 3 is not."""
    data = bytes(packet)
    return data[data.find(b"\0\0\1\0") + 5] >> 3 & 7


def told(packets):
    """Positions of the packets before which a reference is said to be missing."""
    order = PictureOrder()
    return [n for n, packet in enumerate(packets) if order.missing_before(bytes(packet))]


WAYS = {
    "two between": {},
    "none between": {"bf": "0"},
    "one between": {"bf": "1", "g": "15"},
    "closed groups": {"flags": "+cgop"},
    "interlaced": {"interlaced": True},
    "long groups": {"g": "300", "bf": "2"},
}


@pytest.mark.parametrize("way", WAYS)
def test_whole_streams_miss_nothing_wherever_they_are_joined(way):
    packets = coded(**WAYS[way])
    for start in range(20):
        assert told(packets[start:]) == []


@pytest.mark.parametrize("way", WAYS)
def test_a_lost_reference_is_told_once_and_soon(way):
    packets = coded(**WAYS[way])
    lost = [n for n, packet in enumerate(packets) if kind(packet) == 2 and 30 < n < len(packets) - 4]
    assert len(lost) > 15
    late = []
    for n in lost:
        # The last of a group is missed only if something refers to it: of groups without others in between, nothing.
        if way == "none between" and kind(packets[n + 1]) == 1:
            continue
        found = told([*packets[:n], *packets[n + 1 :]])
        assert len(found) == 1, (n, found)
        late.append(found[0] - n)
    assert min(late) >= 0
    assert max(late) <= 1


@pytest.mark.parametrize("way", ["two between", "one between", "closed groups"])
def test_a_picture_to_which_none_refers_is_not_missed(way):
    packets = coded(**WAYS[way])
    spare = [n for n, packet in enumerate(packets) if kind(packet) == 3 and n > 30]
    assert spare
    for n in spare:
        assert told([*packets[:n], *packets[n + 1 :]]) == []


def test_a_lost_key_picture_is_told():
    packets = coded()
    for n, packet in enumerate(packets):
        if kind(packet) == 1 and 30 < n < len(packets) - 4:
            assert len(told([*packets[:n], *packets[n + 1 :]])) >= 1


def test_streams_whose_numbers_do_not_run_are_left_alone():
    constant = []
    for packet in coded():
        data = bytearray(bytes(packet))
        at = data.find(b"\0\0\1\0")
        data[at + 4], data[at + 5] = 0, data[at + 5] & 63
        constant.append(bytes(data))
    assert told(constant) == []


def test_after_a_jump_nothing_is_missed():
    packets = coded()
    order = PictureOrder()
    for n, packet in enumerate(packets):
        if 40 <= n < 45:
            continue
        if n == 45:
            order.forget_order()
        assert order.missing_before(bytes(packet)) == 0


def test_bytes_that_are_no_picture_say_nothing():
    rng = np.random.default_rng(3)
    order = PictureOrder()
    for size in (0, 1, 3, 4, 5, 6, 7, 300):
        for _ in range(20):
            data = rng.integers(0, 3, size, np.uint8).tobytes()
            order.missing_before(data)
    order.missing_before(b"\0\0\1\0")
    order.missing_before(b"\0\0\1\0\0")


@pytest.mark.parametrize("name", ["grid_id2_vcd_swwp2s.mpg", "grid_lrwp9a.mpg", "tsduck_test-026_news_1080i25_eac3.ts"])
def test_real_streams_miss_nothing(name):
    folder = media_dir()
    if folder is None or not (folder / "real_av" / name).exists():
        pytest.skip("no real clips (set AVJURY_MEDIA)")
    with av.open(str(folder / "real_av" / name)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert told(packets) == []
