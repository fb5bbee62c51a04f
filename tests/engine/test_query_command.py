"""`avjury query` at the command line: answers on stdout in each format, and what is wrong on one line."""

import csv
import io
import json

import pytest
from verdict_rows import row

from engine.cli import run
from engine.store.directory import Directory
from engine.store.spool import parquet_parts


@pytest.fixture
def data(tmp_path):
    rows = [row("chan|1", n, critical=["video.black"] if n < 3 else [], open=["video.black"] if n < 3 else []) for n in
            range(10)]  # fmt: skip
    for part, content in parquet_parts(rows, 1, "aaaaaaaa"):
        Directory(tmp_path / "verdicts").put(part.name, content)
    return tmp_path


def ask(capsys, data, *arguments):
    code = run(["query", *arguments, "--data", str(data)])
    out, err = capsys.readouterr()
    return code, out, err


def test_each_format_has_the_same_answer(capsys, data):
    _, table, _ = ask(capsys, data, "worst")
    _, as_json, _ = ask(capsys, data, "worst", "--format", "json")
    _, as_csv, _ = ask(capsys, data, "worst", "--format", "csv")
    [record] = json.loads(as_json)
    assert (record["stream"], record["critical_seconds"], record["available_percent"]) == ("chan|1", 3, 70.0)
    [line] = csv.DictReader(io.StringIO(as_csv))
    assert (line["stream"], line["critical_seconds"]) == ("chan|1", "3")
    assert "chan|1" in table
    assert "70.0" in table


def test_sql_sees_the_view(capsys, data):
    sql = "SELECT second, played_at, open FROM seconds ORDER BY second LIMIT 1"
    code, out, _ = ask(capsys, data, "--sql", sql, "--format", "json")
    assert code == 0
    assert json.loads(out) == [{"second": 0, "played_at": "2026-09-21T12:00:00Z", "open": ["video.black"]}]


def test_a_place_in_the_configuration_is_asked(capsys, data, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(f"storage: {{verdicts: '{data / 'verdicts'}'}}")
    code = run(["query", "worst", "--config", str(config), "--data", str(tmp_path / "elsewhere"), "--format", "json"])
    assert code == 0
    assert len(json.loads(capsys.readouterr().out)) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "availability, worst, incidents, gaps"),
        (["best"], "unknown question"),
        (["worst", "--sql", "SELECT 1"], "one question, or --sql"),
        (["worst", "--since", "soon"], "wrong time"),
        (["worst", "--since", "2026-09-22", "--until", "2026-09-21"], "ends before"),
        (["--sql", "SELECT nothing"], "played_at"),
    ],
)
def test_what_cannot_be_answered_is_told_on_one_line(capsys, data, arguments, says):
    code, out, err = ask(capsys, data, *arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1


def test_a_folder_without_verdicts_is_no_empty_answer(capsys, tmp_path):
    code, _, err = ask(capsys, tmp_path / "nothing", "worst")
    assert code == 2
    assert "--data" in err


def test_the_data_folder_of_the_configuration_is_asked(capsys, data, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(f"service: {{data: '{data}'}}")
    assert run(["query", "worst", "--config", str(config), "--format", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1
