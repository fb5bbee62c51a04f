"""Every recorded result has machine, versions, commit, command and samples, and one that lacks them is noticed."""

import json
import shlex
import sys

import pytest

from benchmarks.harness import RESULTS, quantiles, write_result
from benchmarks.records import newest, problems

RECORDS = sorted(RESULTS.glob("*.json"))


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_recorded_result_is_whole(path):
    assert problems(path) == []


@pytest.fixture
def written(tmp_path):
    figures = {
        "clips": [1, 2],
        "ms": quantiles([3.0, 1.0, 2.0]),
        "seed": 7,
        "part": {"steps": [1], "kills": 5, "x": 0.5},
    }
    path = write_result("made", figures, tmp_path)
    return path, json.loads(path.read_text(encoding="utf-8"))


def test_what_the_harness_writes_is_whole(written):
    path, record = written
    assert problems(path) == []
    assert record["samples"] == {
        "clips": 2,
        "part": {"steps": 1, "kills": 5},
        "samples_of_a_quantile": {"fewest": 3, "most": 3},
    }
    assert record["command"] == shlex.join(["python", *sys.orig_argv[1:]])  # pytest's own, or that of its worker


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda record: record.pop("command"), "no command"),
        (lambda record: record.update(command=" "), "no command"),
        (lambda record: record.update(command="avjury bench x --media /srv/clips"), "a folder of one machine"),
        (lambda record: record.update(samples={}), "samples"),
        (lambda record: record.update(benchmark="other"), "its file's 'made'"),
        (lambda record: record.update(form=3), "form is 3"),
        (lambda record: record.pop("environment"), "no environment"),
        (lambda record: record["environment"].pop("cpu"), "cpu is missing"),
        (lambda record: record["environment"].update(cores=True), "cores is True"),
        (lambda record: record["environment"].update(commit="HEAD"), "commit is 'HEAD'"),
        (lambda record: record["environment"].update(at="2026-11-28T10:00:00"), "no time with an offset"),
        (lambda record: record.update(figures={}), "no figures"),
        (lambda record: record["figures"]["ms"].pop("n"), "ms: it does not say of how many"),
        (lambda record: record["figures"]["ms"].update(p50=9.0), "ms: its quantiles do not rise"),
        (lambda record: record["figures"].update(rows=[{"s": float("nan")}]), "NaN"),
        # The older form is no way out for new records.
        (lambda record: [record.pop(name) for name in ("form", "command", "samples")] and
         record["environment"].update(at="2030-01-01T00:00:00+00:00"), "older form"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(written, change, said):
    path, record = written
    change(record)
    path.write_text(json.dumps(record), encoding="utf-8")
    found = problems(path)
    assert any(said in problem for problem in found), found


def test_a_file_that_is_no_record_is_named(tmp_path):
    for name, text in (("made-20260101T000000.json", "{"), ("made-20260101T000001.json", "[]")):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        assert problems(path)


def test_the_newest_result_that_has_the_part_is_taken(tmp_path):
    for stamp, figures in (
        ("20260101T000000", {"clips": [1]}),
        ("20260102T000000", {"memory": 1}),
        ("20260103T000000", {"clips": {"failed": "RuntimeError: no room"}}),
        ("20260104T000000", {"clips": []}),
    ):
        (tmp_path / f"cpu-{stamp}.json").write_text(json.dumps({"figures": figures}))
    assert newest("cpu", "clips", folder=tmp_path)["file"] == "cpu-20260101T000000.json"
    assert newest("cpu", "clips", folder=tmp_path, file="cpu-20260101T000000.json")["figures"] == {"clips": [1]}
    with pytest.raises(FileNotFoundError):
        newest("cpu", "none", folder=tmp_path)
