"""The example source of docs/extending.md: built, installed and used as a user would, over a real socket."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from models.synthesis.picture_clip import plant_clip

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder in which the example is installed, beside a package whose source is broken."""
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(ROOT / "docs" / "example_source", folder / "source")  # building writes beside the source
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
           "--no-build-isolation", "--no-index", "--target", str(folder / "site"), str(folder / "source")]  # fmt: skip
    done = subprocess.run(pip, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    broken = folder / "site" / "broken-1.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n", encoding="utf-8")
    (broken / "entry_points.txt").write_text(
        "[avjury.sources]\nlate = broken_source:Late\nnone = broken_source:Nothing\nhttp = broken_source:Nothing\n",
        encoding="utf-8",
    )
    (folder / "site" / "broken_source.py").write_text(
        "from engine.ingest.raw_bytes import TappedBytes\n"
        "class Late(TappedBytes):\n"
        "    def __init__(self, request):\n"
        "        super().__init__()\n"
        "        self.file = open(request.url.partition(':')[2], 'rb')\n"
        "        self.left = 8\n"
        "    def next_bytes(self):\n"
        "        self.left -= 1\n"
        "        if self.left == 0: raise KeyError('https://user:word@host/')\n"
        "        return self.file.read(32768)\n"
        "    def close(self):\n"
        "        self.file.close()\n"
        "        raise ValueError('closed badly')\n"
        "def Nothing(request):\n"
        "    return None\n",
        encoding="utf-8",
    )
    return folder / "site"


@pytest.fixture(scope="module")
def black(tmp_path_factory):
    """A transport stream that is black from 2 to 6 s."""
    path = tmp_path_factory.mktemp("media") / "black.ts"
    plant_clip(path, "black", source=None, seconds=8.0, start=2.0, end=6.0, strength=0.96, size=(320, 192))
    return path


def check(site, *inputs):
    """Exit code, records by stream, and what was said."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(site)])}
    command = [sys.executable, "-m", "engine.cli", "check", *inputs, "--detectors", "video.black", "--format", "jsonl"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=environment)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_what_comes_through_the_packages_source_is_judged(site, black, tmp_path):
    path = tmp_path / "encoder.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)
    listener.settimeout(120)

    def send():
        with listener.accept()[0] as peer:
            peer.sendall(black.read_bytes())

    sender = threading.Thread(target=send)
    sender.start()
    try:
        code, records, said = check(site, f"unix:{path}")
    finally:
        sender.join(30)
        listener.close()
    assert code == 1, said
    [incident] = [record for record in records if record["type"] == "incident"]
    assert (incident["start"], incident["end"]) == (pytest.approx(2.0, abs=0.05), pytest.approx(6.0, abs=0.05))
    [summary] = [record for record in records if record["type"] == "summary"]
    assert summary["frames_measured"] == 200


def test_a_packages_mistake_ends_its_own_input_only(site, black, tmp_path):
    code, records, said = check(site, f"late:{black}", "none:x", f"unix:{tmp_path}/nobody", str(black))
    assert code == 3, said
    assert "broken_source:Late failed: KeyError" in said
    assert "word" not in said
    assert "broken_source:Nothing made a NoneType" in said
    assert f"unix:{tmp_path}/nobody: cannot open input: No such file or directory; check the address" in said
    assert "Traceback" not in said
    [incident] = [r for r in records if r["type"] == "incident" and r["stream"] == str(black)]
    assert incident["start"] == pytest.approx(2.0, abs=0.05)


def test_who_may_not_open_files_may_not_name_a_packages_scheme_either(site):
    code = (
        "from engine.ingest.url_policy import UrlPolicy, package_schemes\n"
        "print(sorted(package_schemes()))\n"
        "UrlPolicy().check('unix:/x', 's')\n"
        "UrlPolicy(allow_files=False).check('unix:/x', 's')\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(site)])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert done.stdout.split("\n")[0] == "['late', 'none', 'unix']"  # and not http, which is avjury's own
    assert "scheme not allowed" in done.stderr.splitlines()[-1]
