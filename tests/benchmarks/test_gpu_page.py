"""docs/gpu.md says what is measured and nothing else."""

import json

from benchmarks.block_rule import PROCESSORS
from benchmarks.gpu_floors import bytes_per_stream_second, floors, torn_loads
from benchmarks.gpu_page import DECODED, PAGE, newest_run, page
from benchmarks.gpu_plots import charts


def test_the_committed_page_is_the_one_that_is_made():
    assert PAGE.read_text() == page(newest_run())


def test_a_figure_that_no_run_has_is_left_empty(tmp_path):
    assert newest_run(tmp_path) is None
    assert page(None).count("| not measured |") == 17


def test_figures_are_read_from_the_newest_whole_run(tmp_path):
    for stamp, quick, share in (
        ("20260101T000000", False, 0.5),
        ("20260102T000000", False, 0.97),
        ("20260103T0", True, 0.1),
    ):
        counts = [
            {"sessions": n, "decode_rate": 1000.0, "pipeline": [{"frames_per_second": 1000 * share}],
             "pipeline_over_decode": share}
            for n in (1, 56)
        ]  # fmt: skip
        decode = {"counts": counts, "others": {"a": {"problem": "no"}}}
        figures = {"quick": quick, "parts": {"decode": decode, "machine": {"devices": [{"name": "NVIDIA H200"}]}}}
        (tmp_path / f"gpu-h200-{stamp}.json").write_text(json.dumps({"figures": figures}))
    (tmp_path / "gpu-dry-run-20260104T000000.json").write_text(json.dumps({"figures": figures | {"quick": False}}))
    text = page(newest_run(tmp_path))
    assert "One run on NVIDIA H200 (gpu-h200-20260102T000000.json)" in text
    # Only what was measured is drawn: both rates over sessions.
    assert "](images/gpu-decode.svg)" in text
    assert "images/gpu-streams.svg" not in text
    drawn = charts(newest_run(tmp_path)["figures"]["parts"])
    assert list(drawn) == ["gpu-decode"]
    assert drawn["gpu-decode"].count("<circle") == 4
    assert "most sessions | >= 0.95 | 0.97 |" in text
    assert text.count("| not measured |") == 16


def test_floors_are_the_bytes_of_the_pictures():
    by_name = {floor.kernel: floor for floor in floors(1920, 1080)}
    assert by_name["frame_stats"].moved == 3 * 1920 * 1080 * 3 // 2
    assert by_name["blockiness"].moved == 2 * 1920 * 1080
    assert by_name["tile_stats"].moved == 2 * 108 * 1920 + 2 * 108 * 960
    sound = by_name["the audio network"]
    # Two seconds of two channels, and the first layer alone: three maps of 96 x 196 in, sixteen of 48 x 98 out.
    assert sound.moved > 2 * 96_000 * 4 + 2 * (3 * 96 * 196 + 16 * 48 * 98)
    assert sound.operations > 2 * 16 * 48 * 98 * 3 * 9
    ten_bit = {floor.kernel: floor for floor in floors(1920, 1080, sample_bytes=2)}
    assert ten_bit["frame_stats"].moved == 2 * by_name["frame_stats"].moved
    assert bytes_per_stream_second(floors(rate=60)) > 1.8 * bytes_per_stream_second(floors(rate=30))


def test_loads_of_one_sample_cost_little_of_the_time_that_pictures_have():
    """Decision 0109: what would make `torn_blocks` worth loads of 16 bytes is not there on any of these."""
    assert torn_loads(1920, 1080) == 2_058_240  # 67 borders of 4 rows of 1920, of two pictures, each twice
    for architecture, processor in PROCESSORS.items():
        share = processor.seconds_to_load(torn_loads()) * DECODED[architecture]
        assert 0 < share < 0.01, architecture
    hopper = PROCESSORS[90]
    assert hopper.seconds_to_load(132 * 32) == 1 / hopper.clock
