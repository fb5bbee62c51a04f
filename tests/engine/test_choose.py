"""Which decoder a stream gets, and that it is said: on the CPU, and over a stand-in of the driver."""

import json

import torch
from fake_driver import over_fake_driver  # noqa: F401 - a fixture

from engine.decode.choose import DecoderChooser
from engine.ingest.source import Source

SCRIPT = """
import json, logging, sys
import torch
from engine.decode.choose import DecoderChooser
from engine.ingest.source import Source
from pathlib import Path
lines = []
class Keep(logging.Handler):
    def emit(self, record): lines.append(record.getMessage())
logging.getLogger("engine").addHandler(Keep())
chooser = DecoderChooser(torch.device("cuda", 0), 1)
names = []
for path in json.loads(PATHS):
    with Source(path, stream=Path(path).name) as source:
        decoders = chooser.open(source.open())
        names.append([decoders.video.name, decoders.reason])
        decoders.video.close()
chooser.close()
print(json.dumps({"names": names, "lines": lines}))
"""


def interlaced(folder):
    import subprocess

    from media import ffmpeg_exe

    path = folder / "interlaced.mkv"
    source = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=0.4"]
    coded = ["-c:v", "libx264", "-flags", "+ilme+ildct", "-pix_fmt", "yuv420p", "-field_order", "tt", str(path)]
    subprocess.run([ffmpeg_exe(), "-y", "-v", "error", *source, *coded], check=True, timeout=60)
    return path


def test_the_cpu_decodes_in_software_and_does_not_call_that_a_fallback(pytestconfig, caplog):
    chooser = DecoderChooser(torch.device("cpu"), 1)
    with Source(str(pytestconfig.rootpath / "tests/clips/h264_320x180_8bit.h264")) as source:
        decoders = chooser.open(source.open())
        assert (decoders.video.name, decoders.audio) == ("software", None)
        assert decoders.reason == "the device is the CPU"
        decoders.video.close()
    chooser.close()
    assert caplog.records == []


def test_a_gpu_gets_what_nvdec_decodes_and_says_why_it_does_not_get_the_rest(
    over_fake_driver,  # noqa: F811
    pytestconfig,
    tmp_path,
):
    clips = [pytestconfig.rootpath / "tests/clips/h264_320x180_8bit.h264", interlaced(tmp_path)]
    paths = json.dumps([str(path) for path in clips])
    done = over_fake_driver(SCRIPT.replace("PATHS", repr(paths)))
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout)
    assert [name for name, _ in got["names"]] == ["nvdec", "software"]
    assert "deinterlace" in got["names"][1][1]
    assert got["lines"] == [f"interlaced.mkv: decoded in software: {got['names'][1][1]}"]
