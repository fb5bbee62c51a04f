"""Planned streams and costs follow from recorded results, and what was not measured is called so."""

import json
import re

import pytest
from properties import HealthCheck, example, given, settings, st

from benchmarks.plan import PAGE, PUBLISHED, Figures, Wanted, cheapest, main, page, plan, plans
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


def test_every_published_figure_has_a_source_and_is_said_not_to_have_been_run_here():
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    text = PAGE.read_text(encoding="utf-8").partition("## Published figures, not run here")[2]
    for one in published["others"]:
        assert re.fullmatch(r"https://\S+", one["source"])
        assert f"| {one['what']} | {one['figure']} | {one['source']} |" in text
    told = " ".join(one["what"] for one in published["others"])
    assert all(word in told for word in ("NVDEC", "DeepStream", "VMAF-CUDA"))
    assert "not run here" in published["note"] or "None of them was run here" in published["note"]


def test_the_command_prints_json_for_programs(capsys):
    assert main(["--format", "json", "--instance", "c6i.xlarge"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["plans"]
    assert found["streams"] > 0
    assert found["measured"] is True


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--detectors", "video.none"], "video.none"),
        (["--detectors", ","], "no detector chosen"),
        (["--size", "1080p"], "WIDTHxHEIGHT"),
        (["--size", "0x1080"], "1 to 16384"),
        (["--size=-1x1080"], "WIDTHxHEIGHT"),
        (["--size", "99999x99999"], "1 to 16384"),
        (["--size", "²x²"], "WIDTHxHEIGHT"),
        (["--rate", "0"], "above 0"),
        (["--rate", "nan"], "above 0"),
        (["--rate", "inf"], "above 0"),
        (["--instance", "c6i.metal"], "no price of c6i.metal"),
    ],
)
def test_what_makes_no_sense_is_an_error_that_says_so(capsys, arguments, said):
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


def test_what_not_even_one_stream_fits_on_is_said(capsys):
    assert main(["--size", "16384x16384", "--rate", "120", "--instance", "c6i.xlarge"]) == 0
    assert "c6i.xlarge: not even one stream; CPU binds." in capsys.readouterr().out


def test_detectors_are_chosen_as_check_chooses_them(capsys):
    def streams(*arguments):
        assert main([*arguments, "--format", "json", "--instance", "c6i.xlarge", "--size", "1280x720"]) == 0
        return json.loads(capsys.readouterr().out)["plans"][0]["streams"]

    every = streams()
    assert streams("--detectors", "*") == every
    assert streams("--detectors", "-video.blur") >= every
    assert streams("--detectors", "stream.*") >= streams("--detectors", "video.*,stream.*") >= every


@given(
    codec=st.sampled_from(("h264", "hevc")),
    width=st.integers(1, 16384),
    height=st.integers(1, 16384),
    rate=st.floats(0.01, 1000.0),
    names=st.none() | st.lists(st.sampled_from(("video.black", "audio.hum", "stream.stall")), unique=True).map(tuple),
)
@example(codec="h264", width=1, height=1, rate=0.125, names=())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_asked_a_plan_is_sound(figures, codec, width, height, rate, names):
    wanted = Wanted(codec, width, height, rate, names)
    found = plans(wanted, figures)
    assert sorted(one.instance for one in found) == sorted(figures.prices["instances"])
    for one in found:
        hour = figures.prices["instances"][one.instance]["hour"]
        assert one.binds
        if one.streams is None:
            assert one.cost is None
        else:
            assert one.streams >= 0
            assert one.cost == (pytest.approx(hour / one.streams) if one.streams else None)
    # More of anything never leaves room for more streams.
    for more in (
        Wanted(codec, min(2 * width, 16384), height, rate, names),
        Wanted(codec, width, height, min(2 * rate, 1000.0), names),
        Wanted(codec, width, height, rate, None),
    ):
        for instance in figures.prices["instances"]:
            before, after = plan(wanted, instance, figures).streams, plan(more, instance, figures).streams
            assert (before is None) == (after is None)
            assert before is None or after <= before
    priced = [one.cost for one in found if one.cost is not None]
    for measured in (True, False):
        best = cheapest(found, measured=measured)
        assert best is None or best.cost == min(one.cost for one in found if one.cost and one.measured == measured)
    assert priced == sorted(priced)


def test_the_command_is_there(capfd):
    assert run(["plan", "--instance", "c6i.xlarge"]) == 0
    assert "c6i.xlarge" in capfd.readouterr().out
