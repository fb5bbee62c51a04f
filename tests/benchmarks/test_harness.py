"""Figures are kept with their machine and never overwritten."""

import json

import pytest

from benchmarks.harness import compare, environment, quantiles, time_repeats, without_folder, write_result


def test_results_of_the_same_second_are_kept_side_by_side(tmp_path):
    paths = [write_result("x", {"n": n}, tmp_path) for n in range(5)]
    assert len(set(paths)) == 5
    records = [json.loads(path.read_text()) for path in paths]
    assert [record["figures"]["n"] for record in records] == list(range(5))
    assert {"machine", "cpu", "cores", "gpu", "commit", "torch", "triton", "numpy", "at"} <= set(
        records[0]["environment"]
    )


def test_quantiles_are_those_of_the_samples():
    assert quantiles([float(n) for n in range(101)]) == {"p20": 20.0, "p50": 50.0, "p80": 80.0, "n": 101}
    assert quantiles([3.0]) == {"p20": 3.0, "p50": 3.0, "p80": 3.0, "n": 1}


def test_sides_are_taken_turn_by_turn_after_the_warm_up():
    order = []
    found = compare({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, repeats=3, warm_up=2)
    assert order == ["a", "b"] * 5
    assert {name: len(seconds) for name, seconds in found.items()} == {"a": 3, "b": 3}


def test_warm_up_is_not_counted_and_waiting_is():
    calls = []
    seconds = time_repeats(lambda: calls.append("work"), repeats=2, warm_up=1, wait=lambda: calls.append("wait"))
    assert calls == ["work", "wait", "work", "wait", "wait", "work", "wait"]
    assert len(seconds) == 2


def test_environment_names_the_installed_libraries():
    found = environment()
    assert found["numpy"] == pytest.importorskip("numpy").__version__
    assert found["cores"] >= 1


@pytest.mark.parametrize(
    "text", ["avjury bench x --results /tmp/a --seed 1", "avjury bench x --results='/a b' --seed 1",
             "avjury bench x --seed 1 --results /tmp/a"],
)  # fmt: skip
def test_a_command_is_told_without_the_folder_of_its_results(text):
    assert without_folder(text) == "avjury bench x --seed 1"
