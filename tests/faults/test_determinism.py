"""The same input gives the same verdicts to the last byte: again, among others, and on more threads of the decoder."""

import dataclasses
import json

import pytest
from live_kit import encode

from engine.listener import Silent
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
OTHERS = 20
BROKEN = "drawbox=color=black:t=fill:enable='gte(t,2)*lt(t,4)',tpad=stop_mode=clone:stop_duration=3"


class Seconds(Silent):
    """Keeps the judged seconds of one stream."""

    def __init__(self, stream):
        self.stream, self.rows = stream, []

    def on_second(self, second):
        if second.stream == self.stream:
            self.rows.append(second)


def verdicts(clip, others, threads):
    """Everything that is told of a clip among others, as bytes."""
    seconds = Seconds("watched")
    specs = [StreamSpec(f"other{index}", str(other)) for index, other in enumerate(others)]
    specs.insert(len(specs) // 2, StreamSpec("watched", str(clip)))
    outcomes = check(specs, EngineSettings(device="cpu", decode_threads=threads), seconds)
    [outcome] = [one for one in outcomes if one.stream == "watched"]
    assert outcome.error is None
    told = {
        "incidents": [dataclasses.asdict(one) for one in outcome.incidents],
        "seconds": [dataclasses.asdict(one) for one in seconds.rows],
    }
    return json.dumps(told, default=str, sort_keys=True).encode(), len(outcome.incidents)


def test_a_stream_is_judged_the_same_alone_among_twenty_others_and_on_two_threads(tmp_path, record_property):
    clip = encode(tmp_path / "watched.ts", 5, drawn=BROKEN)
    others = [
        encode(tmp_path / f"other{index}.ts", 2 + index % 3, drawn=f"hue=h={18 * index}") for index in range(OTHERS)
    ]
    alone, incidents = verdicts(clip, [], 1)
    assert incidents >= 2  # black, and a freeze
    same = {
        "again": verdicts(clip, [], 1)[0] == alone,
        "on two threads": verdicts(clip, [], 2)[0] == alone,
        "among others": verdicts(clip, others, 1)[0] == alone,
        "among others on two threads": verdicts(clip, others, 2)[0] == alone,
    }
    record_property("bytes compared", len(alone))
    assert same == dict.fromkeys(same, True)
