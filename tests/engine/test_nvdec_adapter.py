"""The NVDEC adapter over a stand-in of the driver: PyNvVideoCodec itself is the real one."""

import json

import pytest
from fake_driver import over_fake_driver  # noqa: F401 - a fixture

PREAMBLE = """
import ctypes, json, sys, threading
import numpy as np
from bitwriter import annex_b, h264_slice, h264_sps, hevc_sps
from engine.decode.sequence import parse_sps
from engine.decode.nvdec import NvdecDecoder
from engine.decode.nvdec_pool import DecoderPool
from engine.errors import AvjuryError
from engine.media import Packet, VideoInfo

def info(codec="h264", width=320, height=180, depth=8):
    return VideoInfo(codec, "", width, height, "yuv420p", depth, 25.0, False, None)

def unit(n, *, key=False, sps=None, w=320, h=180, bd=8, note="", number=None):
    text = f"FAKE:w={w};h={h};bd={bd};y={n + 1};{note}".encode()
    slice_ = h264_slice(n if number is None else number, idr=key, note=text)
    if bd == 10:
        slice_ = (b"\\x26\\x01" if key else b"\\x02\\x01") + b"\\xff" + text
    sets = [sps or (h264_sps(w, h) if bd == 8 else hevc_sps(w, h, bit_depth=10))] if key else []
    return Packet("s", "video", n / 25, n / 25, 0.0, 0, key, False, annex_b(*sets, slice_))

def luma(surface):
    raw = (ctypes.c_ubyte * (surface.luma_pitch * surface.height)).from_address(surface.addresses[0])
    return np.frombuffer(raw, np.uint8)

def shown(surfaces):
    return [(round(s.pts * 25), s.width, s.height, s.bit_depth, int(luma(s)[0]), int(luma(s)[-1])) for s in surfaces]

class Software:
    name = "software"
    def __init__(self): self.errors = 0; self.seen = []; self.closed = False
    def decode(self, packet): self.seen.append(packet.pts); self.errors += 1; return []
    def flush(self): return []
    def close(self): self.closed = True

def say(**values): print(json.dumps(values))
"""


@pytest.fixture
def scenario(over_fake_driver, tmp_path):  # noqa: F811
    def run(script, **environment):
        log = tmp_path / "calls"
        done = over_fake_driver(PREAMBLE + script, FAKE_LOG=str(log), **environment)
        assert done.returncode == 0, done.stderr
        calls = log.read_text().splitlines() if log.exists() else []
        return json.loads(done.stdout), calls

    return run


def test_every_picture_comes_in_order_with_its_own_time_and_pixels(scenario):
    got, calls = scenario("""
pool = DecoderPool(0); d = NvdecDecoder(info(), "s", pool)
out = [s for n in range(6) for s in d.decode(unit(n, key=n == 0))]
last = d.flush()
s = out[0]
say(shown=shown(out + last), held_back=len(last), name=d.name, errors=d.errors, device=s.device, step=s.chroma_step,
    chroma=[s.addresses[1] - s.addresses[0], s.addresses[2] - s.addresses[1]], pitch=s.luma_pitch, shift=s.shift)
""")
    assert got["shown"] == [[n, 320, 180, 8, n + 1, n + 1] for n in range(6)]
    assert got["held_back"] == 1
    assert (got["name"], got["errors"], got["device"], got["step"], got["pitch"], got["shift"]) == (
        "nvdec",
        0,
        "cuda:0",
        2,
        320,
        0,
    )
    assert got["chroma"] == [320 * 180, 1]
    # The target is the size as coded, so that nothing is rescaled; the wrapper's copy crops.
    assert [c for c in calls if c.startswith("create")] == [
        "create 320x192 of 320x192 area 0,0,0,0 max 768x576 deinterlace 0 format 0"
    ]


def test_surfaces_keep_their_pixels_while_decoding_goes_on_and_after_close(scenario):
    got, _ = scenario("""
pool = DecoderPool(0); d = NvdecDecoder(info(), "s", pool)
out = [s for n in range(40) for s in d.decode(unit(n, key=n == 0))] + d.flush()
d.close(); pool.close()
values = [int(luma(s).min()) for s in out], [int(luma(s).max()) for s in out]
held = pool.surfaces_held
for s in out: s.release()
say(values=values, distinct=len({s.addresses[0] for s in out}), held=held, after=pool.surfaces_held)
""")
    assert got["values"] == [list(range(1, 41))] * 2
    assert got["distinct"] == 40
    assert (got["held"], got["after"]) == (40, 0)


def test_released_memory_serves_the_next_picture_and_a_second_release_does_nothing(scenario):
    got, _ = scenario("""
pool = DecoderPool(0); d = NvdecDecoder(info(), "s", pool); addresses = set()
for n in range(20):
    for s in d.decode(unit(n, key=n == 0)):
        addresses.add(s.addresses[0]); s.release(); s.release()
say(addresses=len(addresses), held=pool.surfaces_held)
""")
    assert got == {"addresses": 1, "held": 0}


def test_surface_that_is_dropped_unreleased_gives_its_memory_back(scenario):
    got, _ = scenario("""
pool = DecoderPool(0); d = NvdecDecoder(info(), "s", pool)
for n in range(20): d.decode(unit(n, key=n == 0))
say(held=pool.surfaces_held)
""")
    assert got == {"held": 0}


def test_change_of_size_gives_pictures_of_the_new_size_and_loses_none(scenario):
    got, calls = scenario("""
pool = DecoderPool(0); d = NvdecDecoder(info(), "s", pool); out = []
for n in range(3): out += d.decode(unit(n, key=n == 0))
for n in range(3, 6): out += d.decode(unit(n, key=n == 3, w=640, h=360))
for n in range(6, 9): out += d.decode(unit(n, key=n == 6))
say(shown=shown(out + d.flush()))
""")
    sizes = [(320, 180)] * 3 + [(640, 360)] * 3 + [(320, 180)] * 3
    assert got["shown"] == [[n, w, h, 8, n + 1, n + 1] for n, (w, h) in enumerate(sizes)]
    # One session serves all three: flushed, then set to each size before its first picture.
    assert sum(c.startswith("create") for c in calls) == 1
    assert [c.split(" of ")[0] for c in calls if c.startswith("reconfigure")] == [
        "reconfigure 640x360",
        "reconfigure 320x180",
    ]


def test_change_of_bit_depth_gives_a_second_session_and_ten_bit_pictures(scenario):
    got, calls = scenario("""
pool = DecoderPool(0); d = NvdecDecoder(info("hevc"), "s", pool); out = []
def hevc(n, key, bd):
    p = unit(n, key=key, bd=10, note=f"bd={bd};")
    sets = [hevc_sps(320, 180, bit_depth=bd)] if key else []
    text = f"FAKE:w=320;h=180;bd={bd};y={n + 1};".encode()
    return Packet("s", "video", n / 25, None, 0.0, 0, key, False,
                  annex_b(*sets, (b"\\x26\\x01" if key else b"\\x02\\x01") + b"\\xff" + text))
for n in range(2): out += d.decode(hevc(n, n == 0, 8))
for n in range(2, 4): out += d.decode(hevc(n, n == 2, 10))
out += d.flush()
say(shown=shown(out), shift=[s.shift for s in out], pitch=[s.luma_pitch for s in out])
""")
    assert [row[3] for row in got["shown"]] == [8, 8, 10, 10]
    assert got["shift"] == [0, 0, 6, 6]
    assert got["pitch"] == [320, 320, 640, 640]
    assert [c.rsplit(" ", 1)[1] for c in calls if c.startswith("create")] == ["0", "1"]


def test_damaged_pictures_are_marked_and_counted_for_the_right_stream(scenario):
    got, _ = scenario("""
pool = DecoderPool(0); result = {}
def stream(name, bad):
    d = NvdecDecoder(info(), name, pool); corrupt = []
    for n in range(60):
        for s in d.decode(unit(n, key=n == 0, note=("err=8;" if n % 4 else "err=9;") if n in bad else "")):
            if s.corrupt: corrupt.append(round(s.pts * 25))
            s.release()
    corrupt += [round(s.pts * 25) for s in d.flush() if s.corrupt]
    result[name] = [d.errors, corrupt]
plans = {"clean": [], "a": [3, 20, 21], "b": [59], "c": list(range(10, 50, 5))}
threads = [threading.Thread(target=stream, args=item) for item in plans.items()]
for t in threads: t.start()
for t in threads: t.join()
say(problem=pool.damage_problem, **result)
""")
    assert got["problem"] == ""
    assert got["clean"] == [0, []]
    assert got["a"] == [3, [3, 20, 21]]
    assert got["b"] == [1, [59]]
    assert got["c"] == [8, list(range(10, 50, 5))]


def test_what_the_driver_prints_never_reaches_the_records_on_stdout(over_fake_driver):  # noqa: F811
    done = over_fake_driver(
        PREAMBLE
        + """
pool = DecoderPool(0); d = NvdecDecoder(info(), "s", pool)
for n in range(5): d.decode(unit(n, key=n == 0, note="err=8;"))
d.flush(); ctypes.CDLL(None).puts(b"a word of some library")
say(errors=d.errors)
"""
    )
    assert json.loads(done.stdout) == {"errors": 5}
    assert "a word of some library" in done.stderr


def test_lost_packet_shows_as_a_gap_in_the_frame_numbers(scenario):
    got, _ = scenario("""
pool = DecoderPool(0); d = NvdecDecoder(info(), "s", pool); counts = []
for n in (0, 1, 2, 4, 5, 6): d.decode(unit(n, key=n == 0)); counts.append(d.errors)
say(counts=counts)
""")
    assert got["counts"] == [0, 0, 0, 1, 1, 1]


def test_no_picture_before_the_first_key_packet_and_none_lost_after_a_flush(scenario):
    got, _ = scenario("""
pool = DecoderPool(0); d = NvdecDecoder(info(), "s", pool); out = []
for n in range(4): out += d.decode(unit(n, key=n == 2))
out += d.flush()
early = d.decode(unit(7)) + d.flush()
for n in (8, 9): out += d.decode(Packet("s", "video", n / 25, None, 0.0, 0, n == 8, False,
    annex_b(h264_slice(0 if n == 8 else 1, idr=n == 8, note=f"FAKE:w=320;h=180;y={n + 1};".encode()))))
out += d.flush()
say(shown=[row[0] for row in shown(out)], early=len(early), errors=d.errors)
""")
    assert got == {"shown": [2, 3, 8, 9], "early": 0, "errors": 0}


def test_failed_packet_costs_pictures_until_the_next_key_and_is_counted(scenario):
    got, calls = scenario("""
pool = DecoderPool(0); d = NvdecDecoder(info(), "s", pool); out = []
for n in range(8): out += d.decode(unit(n, key=n in (0, 5), number=n % 5, note="fail=1;" if n == 2 else ""))
out += d.flush()
say(shown=[row[0] for row in shown(out)], errors=d.errors, name=d.name)
""")
    assert got["shown"][0] == 0
    assert got["shown"][-3:] == [5, 6, 7]
    assert not {2, 3, 4} & set(got["shown"])
    assert (got["errors"], got["name"]) == (1, "nvdec")
    assert "destroy" in calls


def test_failing_driver_is_a_device_error_and_the_process_lives(scenario):
    script = """
try: DecoderPool(0); say(error=None)
except AvjuryError as e: say(error=type(e).__name__, why=e.why)
"""
    got, _ = scenario(script, FAKE_FAIL="cuInit:100")
    assert got == {"error": "DeviceError", "why": "cuInit answers CUDA_ERROR_FAKE (100)"}


def test_without_a_driver_it_is_a_device_error(over_fake_driver, tmp_path):  # noqa: F811
    script = "try: DecoderPool(0)\nexcept AvjuryError as e: say(error=type(e).__name__, why=e.why)"
    done = over_fake_driver(PREAMBLE + script, libraries=tmp_path)
    if "libcuda.so.1" not in done.stdout:
        pytest.skip("this machine has a driver")
    assert json.loads(done.stdout)["error"] == "DeviceError"


def test_broken_gpu_is_a_device_error_and_not_the_streams_damage(scenario):
    got, _ = scenario("""
pool = DecoderPool(0); d = NvdecDecoder(info(), "s", pool, lambda why: Software())
d.decode(unit(0, key=True))
try: d.decode(unit(1, note="fail=700;")); say(error=None)
except AvjuryError as e: say(error=type(e).__name__, what=e.what, name=d.name)
""")
    assert got == {"error": "DeviceError", "what": "the GPU failed", "name": "nvdec"}


def test_exhausted_sessions_fall_back_with_the_reason_and_leave_the_others_alone(scenario):
    got, _ = scenario(
        """
pool = DecoderPool(0); soft = Software(); reasons = []
first = [NvdecDecoder(info(), f"s{i}", pool) for i in range(2)]
def make(why): reasons.append(why); return soft
third = NvdecDecoder(info(), "s2", pool, make); out = []
for n in range(4):
    for d in (*first, third): out += d.decode(unit(n, key=n == 0))
third.close()
say(names=[first[0].name, first[1].name, third.name], reasons=reasons, soft=soft.seen, pictures=len(out),
    errors=third.errors, closed=soft.closed, in_use=pool.sessions_in_use)
""",
        FAKE_SESSIONS="2",
    )
    assert got["names"] == ["nvdec", "nvdec", "software"]
    assert got["reasons"] == ["NVDEC gives no further session (error 2, 2 others in use)"]
    assert got["soft"] == [0.0, 0.04, 0.08, 0.12]
    assert got["pictures"] == 6
    assert (got["errors"], got["closed"], got["in_use"]) == (4, True, 2)


def test_without_a_software_decoder_a_refusal_is_a_decode_error(scenario):
    got, _ = scenario(
        """
pool = DecoderPool(0, max_sessions=0); d = NvdecDecoder(info(), "s", pool)
try: d.decode(unit(0, key=True)); say(error=None)
except AvjuryError as e: say(error=type(e).__name__, why=e.why, stream=e.stream)
"""
    )
    assert got == {"error": "DecodeError", "why": "all 0 NVDEC sessions are in use", "stream": "s"}


def test_stream_that_becomes_interlaced_goes_on_in_software(scenario):
    got, calls = scenario("""
pool = DecoderPool(0); soft = Software(); d = NvdecDecoder(info(), "s", pool, lambda why: soft); out = []
for n in range(2): out += d.decode(unit(n, key=n == 0))
for n in range(2, 4): out += d.decode(unit(n, key=n == 2, sps=h264_sps(320, 192, frames_only=False)))
say(shown=[row[0] for row in shown(out)], soft=soft.seen, name=d.name, reason=d.reason, idle=pool.sessions_idle)
""")
    assert got["shown"] == [0, 1]
    assert got["soft"] == [0.08, 0.12]
    assert got["name"] == "software"
    assert "interlaced" in got["reason"]
    assert not any("deinterlace 2" in c for c in calls)


def test_ended_streams_session_serves_the_next_stream_without_its_pictures(scenario):
    got, calls = scenario("""
pool = DecoderPool(0)
a = NvdecDecoder(info(), "a", pool)
for n in range(3): a.decode(unit(n, key=n == 0, note="y=200;"))
a.close(); a.close()
idle = pool.sessions_idle
b = NvdecDecoder(info(), "b", pool); out = []
for n in range(3): out += b.decode(unit(n, key=n == 0, w=160, h=96))
out += b.flush(); b.close(); pool.close()
say(idle=idle, shown=shown(out))
""")
    assert got["idle"] == 1
    assert got["shown"] == [[n, 160, 96, 8, n + 1, n + 1] for n in range(3)]
    assert sum(c.startswith("create") for c in calls) == 1
    assert calls[-1] == "destroy"


def test_length_prefixed_packets_are_turned_into_start_codes(scenario):
    got, _ = scenario("""
sps = h264_sps(320, 180)
record = b"\\x01\\x64\\x00\\x28\\xff\\xe1" + len(sps).to_bytes(2, "big") + sps + b"\\x00"
class Context: extradata = record
class Track: codec_context = Context
i = VideoInfo("h264", "", 320, 180, "yuv420p", 8, 25.0, False, Track)
pool = DecoderPool(0); d = NvdecDecoder(i, "s", pool); out = []
for n in range(3):
    nal = h264_slice(n, idr=n == 0, note=f"FAKE:w=320;h=180;y={n + 1};".encode())
    data = len(nal).to_bytes(4, "big") + nal
    out += d.decode(Packet("s", "video", n / 25, None, 0.0, 0, n == 0, False, data))
d.decode(Packet("s", "video", 3 / 25, None, 0.0, 0, False, False, b"\\x00\\x00\\xff\\xff\\x41"))
say(shown=shown(out + d.flush()), errors=d.errors)
""")
    assert got["shown"] == [[n, 320, 180, 8, n + 1, n + 1] for n in range(3)]
    assert got["errors"] == 1


def test_missing_times_go_on_at_the_frame_rate(scenario):
    got, _ = scenario("""
pool = DecoderPool(0); d = NvdecDecoder(info(), "s", pool); out = []
for n in range(4):
    p = unit(n, key=n == 0)
    out += d.decode(Packet("s", "video", None, None, 0.0, 0, p.key, False, p.payload))
say(pts=[round(s.pts, 6) for s in out + d.flush()])
""")
    assert got["pts"] == [0.0, 0.04, 0.08, 0.12]


def test_importing_the_adapter_loads_neither_pyav_nor_pynvvideocodec(over_fake_driver):  # noqa: F811
    script = (
        "import sys, engine.decode.nvdec; print([m for m in ('av', 'PyNvVideoCodec', 'numba') if m in sys.modules])"
    )
    done = over_fake_driver(script)
    assert done.stdout.strip() == "[]", done.stderr
