"""The example of docs/extending.md: built, installed, listed, configured and used, as a user would."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from models.synthesis.picture_clip import plant_clip

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder in which the example is installed."""
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(ROOT / "docs" / "example_detector", folder / "source")  # building writes beside the source
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
           "--no-build-isolation", "--no-index", "--target", str(folder / "site"), str(folder / "source")]  # fmt: skip
    done = subprocess.run(pip, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "site"


def avjury(site, *arguments):
    """The command's outcome, with the example installed."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(site)])}
    command = [sys.executable, "-m", "engine.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=environment)


def test_an_installed_detector_is_listed_beside_the_built_in_ones(site):
    listed = [json.loads(line) for line in avjury(site, "detectors", "--format", "jsonl").stdout.splitlines()]
    [night] = [one for one in listed if one["name"] == "night.too_dark"]
    assert [(p["name"], p["default"]) for p in night["parameters"]] == [("luma", 0.11), ("duration", 3.0)]
    assert "video.black" in {one["name"] for one in listed}


def test_an_installed_detector_judges_and_is_configured(site, tmp_path):
    dark = tmp_path / "dark.mp4"
    plant_clip(dark, "black", source=None, seconds=9.0, start=2.0, end=8.0, strength=0.96, size=(160, 96))
    config = tmp_path / "avjury.yaml"
    config.write_text("detectors: {night.too_dark: {duration: 2s}}\n", encoding="utf-8")
    done = avjury(site, "check", str(dark), "--config", str(config), "--detectors", "night.*", "--format", "jsonl")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    [incident] = [record for record in records if record["type"] == "incident"]
    assert incident["detector"] == "night.too_dark"
    assert (incident["start"], incident["end"]) == (pytest.approx(2.0, abs=0.05), pytest.approx(8.0, abs=0.05))


def test_a_wrong_value_for_an_installed_detector_is_told_with_its_line(site, tmp_path):
    config = tmp_path / "avjury.yaml"
    config.write_text("detectors:\n  night.too_dark:\n    luma: 3\n", encoding="utf-8")
    done = avjury(site, "check", "x.mp4", "--config", str(config))
    assert done.returncode == 2
    assert "night.too_dark" in done.stderr
    assert "3 is not a number from 0 to 1" in done.stderr
