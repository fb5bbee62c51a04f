"""A whole engine as on a GPU, over stand-ins of the driver, of NVDEC and of torch's CUDA: files to incidents."""

import json
import subprocess
from fractions import Fraction
from itertools import islice

import imageio_ffmpeg
import pytest
from fake_driver import over_fake_driver  # noqa: F401 - a fixture

from models.synthesis.coded_damage import plant_damage
from models.synthesis.picture import moving_pattern

SCRIPT = """
import json
from unittest import mock

from cuda_on_cpu import cuda_on_cpu

from engine.evidence.recorder import EvidenceSettings
from engine.measure import network
from engine.pipeline import Engine, check
from engine.spec import EngineSettings, NetworkSettings, StreamSpec

network.CUDA_BATCH = 4  # 64 pieces at a time take a CPU long
evidence, engines = [], []
settings = EngineSettings(
    device="cuda:0", thumbnails=True, levels=True, network=NetworkSettings(pictures_per_second=2.0, judges=True),
    evidence=EvidenceSettings(clips=False, patient=True),
)
specs = [
    StreamSpec("nvdec", %r),
    StreamSpec("software", %r, {"video.black": {"black_min_duration": 0.5}, "audio.silence": {"duration": 1.0}}),
]
run = Engine._run


def watched(engine):
    engines.append(engine)
    gpu.on_default_stream.clear()  # what was made before is waited for
    run(engine)
    engines.append([name for name, _ in gpu.on_default_stream])


with cuda_on_cpu() as gpu, mock.patch.object(Engine, "_run", watched):
    found = check(specs, settings, evidence=lambda incident, kind, content: evidence.append([kind, len(content)]))
engine, on_default = engines
print(json.dumps({
    "decoders": [outcome.summary.decoder for outcome in found],
    "measured": [outcome.summary.frames_measured for outcome in found],
    "loudness": [outcome.summary.loudness.integrated for outcome in found],
    "incidents": [[i.detector, round(i.start, 2), round(i.end, 2)] for i in found[1].incidents],
    "thumbnails": [len(outcome.thumbnails) for outcome in found],
    "on_default": on_default,
    "replays": [engine._measure.replays, engine._measure.sound_replays, engine._measure.network.replays],
    "problem": engine._measure.graph_problem,
    "evidence": evidence,
}))
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_an_engine_runs_as_on_a_gpu_and_finds_what_the_cpu_finds(over_fake_driver, tmp_path):  # noqa: F811
    sources = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=4", "-f", "lavfi", "-i", "sine=duration=4")
    black = r"drawbox=t=fill:color=black:enable=between(t\,0.99\,3)"
    for name, drawn, depth in (("nvdec.mp4", "null", "yuv420p"), ("software.mp4", black, "yuv420p10le")):
        coded = ("-c:v", "libx264", "-pix_fmt", depth, "-c:a", "aac", tmp_path / name)
        subprocess.run(
            [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *sources, "-vf", drawn, *coded], check=True, timeout=120
        )
    done = over_fake_driver(SCRIPT % (str(tmp_path / "nvdec.mp4"), str(tmp_path / "software.mp4")), seconds=1100)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    # NVDEC decodes no H.264 of 10 bit.
    assert found["decoders"] == ["nvdec", "software"]
    assert found["measured"] == [100, 100]
    assert found["loudness"] == pytest.approx([-21.77, -21.77], abs=0.05)
    assert ["video.black", 1.0, 3.04] in found["incidents"]
    assert min(found["thumbnails"]) >= 1
    assert {"thumbnail", "series"} <= {kind for kind, size in found["evidence"] if size}
    assert found["on_default"] == []
    assert found["problem"] == ""
    assert min(found["replays"]) > 0


DAMAGED = """
import json
from unittest import mock

from cuda_on_cpu import cuda_on_cpu

from engine.evidence.recorder import EvidenceSettings
from engine.measure import network
from engine.pipeline import Engine, check
from engine.spec import EngineSettings, NetworkSettings, StreamSpec

network.CUDA_BATCH = 4  # 64 pieces at a time take a CPU long
evidence = []
settings = EngineSettings(
    device="cuda:0", thumbnails=True, network=NetworkSettings(2.0), evidence=EvidenceSettings(clips=False, patient=True)
)
spec = StreamSpec("damaged", %r, {"video.corruption": {}})
run = Engine._run


def watched(engine):
    gpu.on_default_stream.clear()
    run(engine)
    on_default.extend(name for name, _ in gpu.on_default_stream)


on_default = []
# The stand-in of NVDEC has pictures of its own; these come from the software decoder, by way of an upload.
refused = mock.patch("engine.decode.nvdec_pool.refusal", lambda fmt, caps: "not here")
with cuda_on_cpu() as gpu, mock.patch.object(Engine, "_run", watched), refused:
    [found] = check([spec], settings, evidence=lambda incident, kind, content: evidence.append([kind, len(content)]))
print(json.dumps({
    "decoder": found.summary.decoder,
    "incidents": len(found.incidents),
    "overlays": [len(jpeg) for jpeg in found.overlays.values()],
    "evidence": evidence,
    "on_default": on_default,
}))
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_map_of_damage_comes_from_a_gpu_too(over_fake_driver, tmp_path):  # noqa: F811
    pictures = list(islice(moving_pattern(384, 208), 100))
    clip = tmp_path / "damaged.ts"
    assert plant_damage(clip, "h264", "cut", pictures, rate=Fraction(25), start=2.0, end=3.0, strength=0.4, seed=1)
    done = over_fake_driver(DAMAGED % str(clip), seconds=1100)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["decoder"] == "software"
    assert found["incidents"] == 1
    assert min(found["overlays"]) > 1000
    assert {"thumbnail", "overlay"} <= {kind for kind, size in found["evidence"] if size}
    assert found["on_default"] == []


TURNS = """
import json
from unittest import mock

from cuda_on_cpu import cuda_on_cpu

from engine import live
from engine.ingest.link import Links
from engine.listener import Silent
from engine.spec import EngineSettings, StreamSpec

made, handed = [], []


class Turns(live.Turns):
    def __init__(self, places):
        made.append(places)
        super().__init__(places)


class Remote:
    def __init__(self, links, place, wish, turns=None):
        handed.append(turns is not None)
        raise LookupError("far enough")


def taken(device):
    engine = live.LiveEngine(EngineSettings(device=device), Silent(), Links(), slots=2)
    try:
        engine.take(live.Order(StreamSpec("s", "udp://127.0.0.1:1"), place="ingest"))
    except LookupError:
        pass


with mock.patch.object(live, "Turns", Turns), mock.patch.object(live, "RemoteSource", Remote):
    taken("cpu")
    on_cpu = [len(made), list(handed)]
    made.clear(), handed.clear()
    with cuda_on_cpu():
        taken("cuda:0")
    print(json.dumps({"cpu": on_cpu, "cuda": [len(made), list(handed)]}))
"""


def test_readers_take_turns_on_a_cpu_and_none_on_a_gpu(over_fake_driver):  # noqa: F811
    """Decision 0129: there they wait for NVDEC's pictures, and in turns would leave the decoders idle."""
    done = over_fake_driver(TURNS)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {"cpu": [1, [True]], "cuda": [0, [False]]}
