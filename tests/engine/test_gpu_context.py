"""What has to be so before anything runs on a GPU, over a stand-in of the driver."""

import json

import pytest
from fake_driver import over_fake_driver  # noqa: F401 - a fixture

FIRST_USE = """
import ctypes, json, logging
from unittest import mock

from cuda_on_cpu import cuda_on_cpu
from engine.decode.driver import cuda_driver, primary_context
from engine.pipeline import Engine
from engine.spec import EngineSettings

told, said = [], []


def first_use(*values):
    flags, active = ctypes.c_uint(), ctypes.c_int()
    cuda_driver().cuDevicePrimaryCtxGetState(0, ctypes.byref(flags), ctypes.byref(active))
    told.append([flags.value, active.value])
    raise KeyError("enough")


logging.getLogger().addHandler(mock.Mock(level=0, handle=lambda record: said.append(record.getMessage())))
early = primary_context(0) if %r else None
if early is not None:
    early.__enter__()
with cuda_on_cpu(), mock.patch("engine.emitter.Judge", first_use):
    try:
        Engine(EngineSettings(device="cuda:0"), slots=1)
    except KeyError:
        pass
print(json.dumps([told, said]))
"""
SESSIONS = """
import json
from pathlib import Path
from unittest import mock

from engine.decode.headers import HeaderWatch
from engine.decode.nvdec_pool import DecoderPool

pool, streams = DecoderPool(0), []
make = pool.module.CreateDecoder


def made(**asked):
    streams.append(asked["cudastream"])
    return make(**asked)


with mock.patch.object(pool.module, "CreateDecoder", made):
    for codec, name in (("h264", "h264_320x180_8bit.h264"), ("hevc", "hevc_320x180_8bit.hevc")):
        watch = HeaderWatch(codec)
        watch.read(Path("tests/clips", name).read_bytes())
        pool.take(watch.format)
print(json.dumps([streams, pool.cuda_stream]))
"""


@pytest.mark.parametrize("too_late", [False, True])
def test_waiting_threads_sleep_before_torch_makes_the_context(over_fake_driver, too_late):  # noqa: F811
    done = over_fake_driver(FIRST_USE % too_late)
    assert done.returncode == 0, done.stderr
    told, said = json.loads(done.stdout)
    blocking = 4  # CU_CTX_SCHED_BLOCKING_SYNC
    assert told == ([[0, 1]] if too_late else [[blocking, 0]])
    assert any("take a core each" in line for line in said) is too_late


def test_all_sessions_decode_on_one_stream_that_is_not_the_default_one(over_fake_driver):  # noqa: F811
    done = over_fake_driver(SESSIONS)
    assert done.returncode == 0, done.stderr
    streams, shared = json.loads(done.stdout)
    assert streams == [shared, shared]
    assert shared != 0
