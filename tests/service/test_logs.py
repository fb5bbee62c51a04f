"""Log lines say which stream, hide every secret, and do not flood."""

import io
import json
import logging

import pytest

from engine.service import logs
from engine.service.keeper import write_down


@pytest.fixture
def lines():
    out = io.StringIO()
    handler = logs.configure("json", "info", out)
    yield lambda: [json.loads(line) for line in out.getvalue().splitlines()]
    logs.remove(handler)


def test_a_line_says_its_stream_however_it_was_given(lines):
    log = logging.getLogger("engine.somewhere")
    log.warning("%s: the source was lost (%s)", "channel-1", "timeout")
    log.info("taken in", extra={"stream": "channel-2", "incident": "ab12"})
    log.info("nothing of a stream")
    first, second, third = lines()
    assert (first["stream"], first["level"], first["message"]) == (
        "channel-1", "warning", "channel-1: the source was lost (timeout)",
    )  # fmt: skip
    assert (second["stream"], second["incident"]) == ("channel-2", "ab12")
    assert "stream" not in third


def test_no_secret_gets_into_a_line(lines):
    log = logging.getLogger("engine.somewhere")
    log.error("cannot open %s", "rtsp://user:hunter2@host/live?token=0123456789abcdef")
    log.error("odd", extra={"address": "http://a:hunter2@host/"})
    try:
        raise ValueError("http://a:hunter2@host/x?sig=0123456789abcdef")
    except ValueError:
        log.exception("failed")
    text = json.dumps(lines())
    assert len(lines()) == 3
    assert "hunter2" not in text
    assert "0123456789abcdef" not in text
    assert "ValueError" in text


def test_a_stream_has_five_lines_a_second_and_says_what_it_held_back():
    now = 0.0
    limit = logs.RateLimit(lambda: now)

    def said(stream):
        record = logging.makeLogRecord({"msg": "damaged", "stream": stream})
        return record if limit.filter(record) else None

    assert sum(said("storm") is not None for _ in range(1000)) == 5
    assert said("other") is not None
    assert all(said("") is not None for _ in range(20))
    now = 1.5
    assert said("storm").suppressed == 995
    assert not hasattr(said("storm"), "suppressed")


def test_the_count_of_what_was_held_back_is_in_the_line():
    record = logging.makeLogRecord({"msg": "damaged", "suppressed": 7})
    assert "suppressed 7 lines" in json.loads(logs.JsonLines().format(record))["message"]


def test_a_terminal_gets_text_in_which_no_stream_can_write_what_it_likes():
    record = logging.makeLogRecord(
        {"msg": "%s", "args": ("a\x1b[2Jb\nforged line",), "stream": "s", "levelname": "INFO"}
    )
    text = logs.TextLines().format(record)
    assert "\x1b" not in text
    assert "\n" not in text


def test_what_a_child_says_is_a_line_like_any_other_whatever_name_it_gives(lines):
    known = set(logging.root.manager.loggerDict)
    write_down("engine.child", logging.INFO, "on the cores near cuda:0", "")
    write_down("engine.reader", logging.DEBUG, "too small", "one")
    write_down("numba.core", logging.INFO, "compiled", "")
    write_down("numba.core", logging.WARNING, "slow http://user:hunter2@host/", "one")
    write_down("x" * 5000, logging.ERROR, "first\nsecond", "")
    said = [(line["logger"], line["level"], line["message"], line.get("stream")) for line in lines()]
    assert [level for _, level, *_ in said] == ["info", "warning", "error"]
    assert said[0][0] == "engine.child"
    assert said[1][0] == "numba.core"
    assert said[1][3] == "one"
    assert "hunter2" not in said[1][2]
    assert len(said[2][0]) <= 100
    assert set(logging.root.manager.loggerDict) == known
