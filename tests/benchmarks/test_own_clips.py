"""`avjury bench detectors --own-clips`: which files of a folder are planted into."""

import subprocess
import sys
import wave

import av
import numpy as np

from benchmarks.detectors import own_clips


def test_clips_are_those_that_decode_each_for_what_it_holds(tmp_path, capsys):
    with av.open(str(tmp_path / "pictures.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in range(20, 25):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((72, 64), level, np.uint8), "yuv420p")))
        container.mux(stream.encode(None))
    (tmp_path / "deeper").mkdir()
    with wave.open(str(tmp_path / "deeper" / "sound.wav"), "wb") as file:
        file.setparams((1, 2, 48000, 0, "NONE", ""))
        file.writeframes(bytes(9600))
    (tmp_path / "broken.mp4").write_bytes(b"no film" * 100)
    assert [path.name for path in own_clips(tmp_path, "video")] == ["pictures.mkv"]
    assert [path.name for path in own_clips(tmp_path, "audio")] == ["sound.wav"]
    assert "broken.mp4: left out" in capsys.readouterr().err


def test_a_folder_without_the_clips_that_are_meant_says_what_to_do(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.detectors", "--media", str(tmp_path), "--only", "sound"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert str(tmp_path) in done.stderr
    assert "--own-clips" in done.stderr
