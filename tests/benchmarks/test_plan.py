"""Planned streams and costs follow from recorded results, and what was not measured is called so."""

import json
import re

import pytest

from benchmarks.plan import PAGE, Figures, Wanted, cheapest, main, page, plan, plans
from engine.cli import run

FILES = {"service": r"service-\S+?\.json", "cpu": r"\bcpu-\S+?\.json", "kernels-cpu": r"kernels-cpu-\S+?\.json"}
CLIP = "made_1080p25_h264.mp4"


def sustained(channels, cores_busy, mb):
    return {"sustained": {"channels": channels, "mb_per_channel": mb,
                          "steps": [{"channels": channels, "cores_busy": cores_busy}]}}  # fmt: skip


@pytest.fixture
def figures():
    cost = {"every stream": {"p50": 0.2}, "all detectors": {"p50": 0.3}, "video.black": {"p50": 0.1}}
    sound = {"every stream": {"p50": 0.7}, "all detectors": {"p50": 0.4}, "audio.hum": {"p50": 0.4}}
    return Figures(
        service={"file": "s", "environment": {"cores": 2, "cpu": "made"},
                 "figures": {"360p": sustained(20, 1.6, 10.0), "1080p": sustained(8, 1.6, 100.0)}},
        cpu={"file": "c", "figures": {"clips": [
            {"clip": CLIP, "cpu_ms_per_frame": {"judge_every_core": {"p50": 5.0}}},
            {"clip": "latentsync_demo1_1080x1920_hevc.mp4", "cpu_ms_per_frame": {"judge_every_core": {"p50": 10.0}}},
        ]}},
        kernels={"file": "k", "figures": {"detectors": {"video": cost, "audio": sound}}},
        prices={"date": "d", "region": "r", "instances": {
            "cpu": {"hour": 0.2, "vcpus": 4, "gpu": None, "memory_gib": 8},
            "small": {"hour": 0.1, "vcpus": 4, "gpu": None, "memory_gib": 1},
            "gpu": {"hour": 0.5, "vcpus": 4, "gpu": "G", "memory_gib": 8},
            "old": {"hour": 0.5, "vcpus": 4, "gpu": "T", "memory_gib": 8},
        }},
        published={"others": [], "gpu_notes": "", "gpus": {
            "G": {"engines": 2, "h264_1080p_fps_per_engine": 750, "av1": False, "memory_gb": 24},
            "T": {"engines": 2, "h264_1080p_fps_per_engine": None, "av1": False, "memory_gb": 16},
        }},
    )  # fmt: skip


def test_streams_are_what_the_cores_hold_up_to_the_load_that_held(figures):
    # A channel took 0.2 cores, and 80 % of them were busy: 4 x 0.8 / 0.2.
    found = plan(Wanted(), "cpu", figures)
    assert (found.streams, found.binds, found.measured) == (16, "CPU", True)
    assert found.cost == pytest.approx(0.2 / 16)


def test_memory_binds_where_there_is_little_of_it(figures):
    found = plan(Wanted(), "small", figures)
    assert (found.streams, found.binds) == (2, "memory")  # (1024 - 800) / 100


@pytest.mark.parametrize(
    ("wanted", "streams"),
    [
        (Wanted(rate=50.0), 8),
        (Wanted(width=640, height=360), 40),
        (Wanted(codec="hevc"), 8),
        # 0.3 ms of each of 25 pictures and 0.4 ms of a second of sound are spared: 0.2 - 0.0079 cores are left
        (Wanted(detectors=()), 16),
    ],
)
def test_other_streams_take_more_or_less(figures, wanted, streams):
    assert plan(wanted, "cpu", figures).streams == streams


def test_a_gpu_is_bound_by_its_decoders_and_never_called_measured(figures):
    found = plan(Wanted(), "gpu", figures)
    assert (found.streams, found.binds, found.measured) == (60, "NVDEC", False)  # 2 x 750 / 25
    assert plan(Wanted(width=320, height=180), "gpu", figures).binds == "decoders without settings of the driver"


def test_what_no_figure_is_known_for_is_said_and_not_guessed(figures):
    assert plan(Wanted(), "old", figures).streams is None
    assert plan(Wanted(codec="av1"), "gpu", figures).binds == "it decodes no AV1"
    with pytest.raises(ValueError, match="av1 was not measured"):
        plan(Wanted(codec="av1"), "cpu", figures)
    with pytest.raises(ValueError, match=r"video\.none"):
        plan(Wanted(detectors=("video.none",)), "cpu", figures)
    with pytest.raises(ValueError, match="no price of none"):
        plan(Wanted(), "none", figures)


def test_the_cheapest_of_either_kind_is_named(figures):
    found = plans(Wanted(), figures)
    assert cheapest(found, measured=True).instance == "cpu"  # small costs 0.05 an hour for each of its two
    assert cheapest(found, measured=False).instance == "gpu"
    assert cheapest([], measured=True) is None


def test_the_page_is_what_its_command_makes_of_the_results_that_it_names():
    text = PAGE.read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("Results: "))
    files = {name: re.search(rf"(?<![\w-]){pattern}", line)[0] for name, pattern in FILES.items()}
    assert text == page(Figures.load(files)), "run `avjury plan --page` again"


def test_the_command_prints_json_for_programs(capsys):
    assert main(["--format", "json", "--instance", "c6i.xlarge"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["plans"]
    assert found["streams"] > 0
    assert found["measured"] is True
    assert main(["--detectors", "video.none"]) == 2
    assert "video.none" in capsys.readouterr().err


def test_the_command_is_there(capfd):
    assert run(["plan", "--instance", "c6i.xlarge"]) == 0
    assert "c6i.xlarge" in capfd.readouterr().out
