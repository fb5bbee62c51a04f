"""The chain of functions does the whole of its work on a small clip, and both sides are counted and priced rightly."""

import json
from dataclasses import fields, replace

import av
import numpy as np
import pytest
from made_clips import picture

from benchmarks.chain import cheapest_alike, compare
from benchmarks.function_chain.account import (
    agreement,
    chain_cost,
    express_cost,
    instance_cost_by_streams,
    limits,
    load_prices,
    one_process_cost,
)
from benchmarks.function_chain.pictures import PictureReader, PictureWriter, describe
from benchmarks.function_chain.state_machine import StateMachine
from benchmarks.function_chain.system import difference
from benchmarks.function_chain.variants import ALL, BY_FAMILY, BY_TRACK, with_masters
from engine.decode.software import SoftwareVideoDecoder
from engine.detectors import DETECTORS
from engine.ingest.source import Source

COUNTS = {
    "stream_seconds": 10,
    "executions": 10,
    "transitions": 90,
    "store": {"PUT": 300, "GET": 1000, "cpu_seconds": 5.0},
    "functions": {
        "convert": {"invocations": 10, "wall_seconds": 9.0, "cpu_seconds": 4.0, "handoff_cpu_seconds": 3.0,
                    "media_cpu_seconds": 1.0, "store_put_bytes": 1_000_000, "store_get_bytes": 0},
        "detect-video": {"invocations": 10, "wall_seconds": 9.0, "cpu_seconds": 6.0, "handoff_cpu_seconds": 4.0,
                         "media_cpu_seconds": 2.0, "store_put_bytes": 0, "store_get_bytes": 2_000_000},
    },
}  # fmt: skip


def made_with_black(path):
    """Three seconds of 25 pictures, of which all but the first twelve are black."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for index in range(75):
            shown = picture(index, 160, 96) if index < 12 else np.zeros((96, 160, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24").reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chain")
    clip = made_with_black(folder / "black.mp4")
    return compare([clip], ["lean"], copies=1, instances=1, repeats=1, folder=folder)


def test_the_chain_judges_every_picture_and_finds_what_avjury_finds(compared):
    lean = compared["chain"]["lean"]
    assert lean["counts"]["pictures"] == compared["avjury"]["pictures"] == 75
    assert lean["agreement"]["share"] == 1.0
    assert lean["agreement"]["in_both"] == lean["agreement"]["exact_to_the_last_bit"] > 0


def test_a_picture_arrives_with_all_that_is_known_of_it_beside_its_samples(tmp_path):
    with Source(str(made_with_black(tmp_path / "black.mp4")), stream="s") as source:
        decoder = SoftwareVideoDecoder(source.open().video, "s")
        surface = next(given for packet in source.packets() for given in decoder.decode(packet))
        # Of each fact the value that a reader which is not told of it would not take.
        told = replace(surface, interlaced=True, corrupt=True, top_field_first=True, key=True, apart=True)
        writer = PictureWriter("lossless")
        arrived = PictureReader("lossless").decode(writer.encode(told), "s", describe(told), writer.header)
    lies = {"addresses", "luma_pitch", "chroma_pitch", "owner", "release", "decoded_at"}  # where and since when
    for name in {field.name for field in fields(surface)} - lies:
        assert getattr(arrived, name) == getattr(told, name), name


def test_the_store_counts_what_its_clients_say_they_asked(compared):
    counts = compared["chain"]["lean"]["counts"]
    functions = counts["functions"].values()
    assert counts["store"]["PUT"] == sum(of["store_put"] for of in functions)
    assert counts["store"]["GET"] == sum(of["store_get"] for of in functions)
    # The pictures of each second, and its verdict; the pictures are fetched by one function.
    assert (counts["store"]["PUT"], counts["store"]["GET"]) == (2 * 3, 3)


def test_states_are_entered_once_per_second_and_function(compared):
    counts = compared["chain"]["lean"]["counts"]
    told = counts["functions"]["notify"]["invocations"]
    # The second after the last one is asked for before anybody knows that there is none.
    past = counts["functions"]["convert"]["invocations"] - counts["stream_seconds"]
    assert counts["stream_seconds"] == 3
    assert 0 <= past <= 2
    assert counts["transitions"] == (4 + len(BY_TRACK)) * 3 + told + past
    assert compared["chain"]["lean"]["notifications"] == compared["avjury"]["notifications"] > 0


def test_connections_to_the_store_are_kept(compared):
    store = compared["chain"]["lean"]["counts"]["store"]
    requests = store["PUT"] + store["GET"] + store["POST"]
    # Those of the warm-up are used again: of the three clients, each moves one or two objects at a time.
    assert store.get("connections", 0) < requests / 2


@pytest.mark.slow  # another set of processes
def test_longer_segments_make_fewer_executions_of_the_same_verdicts(tmp_path, compared):
    clip = made_with_black(tmp_path / "black.mp4")
    patient = compare([clip], ["patient"], copies=1, instances=1, repeats=1, folder=tmp_path)["chain"]["patient"]
    assert (patient["counts"]["stream_seconds"], patient["counts"]["executions"]) == (3, 1)
    assert patient["counts"]["pictures"] == 75
    assert patient["counts"]["store"]["PUT"] == 2
    assert patient["agreement"]["share"] == 1.0
    lean = compared["chain"]["lean"]
    assert patient["cost"]["parts"]["orchestration"] < lean["cost"]["parts"]["orchestration"]
    assert (lean["like_the_original"], patient["like_the_original"]) == (True, False)


def test_a_way_that_knows_late_is_not_what_avjury_is_held_against():
    ways = {
        "dear": {"like_the_original": True, "cost": {"per_stream_hour": 2.0}},
        "cheap": {"like_the_original": True, "cost": {"per_stream_hour": 1.0}},
        "late": {"like_the_original": False, "cost": {"per_stream_hour": 0.5}},
    }
    assert cheapest_alike(ways) == "cheap"
    assert cheapest_alike({"late": ways["late"]}) == "late"


def test_the_record_is_json_and_has_the_ratio(compared):
    assert json.loads(json.dumps(compared))["cost_ratio"] == compared["chain"]["lean"]["cost_ratio"] > 0
    assert sum(compared["chain"]["lean"]["cost"]["shares"].values()) == pytest.approx(1.0)


def test_every_detector_of_picture_and_sound_is_in_one_function():
    wanted = sorted(d.name for d in DETECTORS if d.track in ("video", "audio") and not d.optional)
    for functions in (BY_FAMILY, BY_TRACK):
        assert sorted(name for names in functions.values() for name in names) == wanted
    assert sorted(ALL) == wanted


def test_a_function_knows_the_masters_of_its_detectors():
    assert "video.black" in with_masters(["video.freeze"])
    # slate speaks for corruption, which speaks for tearing
    assert {"video.corruption", "video.slate"} <= set(with_masters(["video.tearing"]))


def test_a_stream_hour_costs_what_the_price_list_says():
    prices = load_prices()
    cost = chain_cost(COUNTS, prices)
    # 9 transitions a second at 25 millionths, 30 PUTs at 5 and 100 GETs at 0.4 millionths, 1 CPU second at 1769 MB.
    assert cost["parts"]["orchestration"] == pytest.approx(3600 * 9 * 25e-6)
    assert cost["parts"]["handoff_requests"] == pytest.approx(3600 * (30 * 5e-6 + 100 * 0.4e-6))
    vcpu_second = 1769 / 1024 * 1.66667e-5
    assert cost["parts"]["handoff_compute"] == pytest.approx(3600 * 0.7 * vcpu_second)
    assert cost["parts"]["compute"] == pytest.approx(3600 * 0.3 * vcpu_second)
    assert cost["parts"]["invocations"] == pytest.approx(3600 * 2 * 2e-7)
    assert cost["per_stream_hour"] == pytest.approx(sum(cost["parts"].values()))
    assert cost["per_stream_hour_if_waiting_were_charged"] == pytest.approx(
        cost["per_stream_hour"] + 3600 * 0.8 * vcpu_second
    )
    # Ten express executions that last 1.0 s each in 64 MB.
    express = 10 * (1e-6 + 1.0 * 64 / 1024 * 1.667e-5)
    assert express_cost(COUNTS, prices) == pytest.approx(express)
    assert cost["per_stream_hour_by_express_workflows"] == pytest.approx(
        cost["per_stream_hour"] - cost["parts"]["orchestration"] + 360 * express
    )
    # A tenth of a vCPU of four that cost 0.17 an hour, three quarters used.
    assert one_process_cost(1.0, 10.0, 0.75, prices) == pytest.approx(0.17 / 4 / 0.75 / 10)


def test_the_first_limit_that_is_met_is_named():
    found = limits(COUNTS, load_prices())
    assert found["streams"]["state_transitions_per_second"] == 166  # 1500 / 9
    assert found["streams"]["concurrent_function_executions"] == 1000
    assert (found["first"], found["at_streams"]) == ("state_transitions_per_second", 166)
    assert found["at_streams_other_regions"] == 55
    needs = found["needs_of_1000_streams"]
    assert needs["state_transitions_per_second"] == 9000
    assert needs["concurrent_function_executions"] == 1000  # one CPU second for each second of a stream
    assert (needs["object_puts_per_second"], needs["object_gets_per_second"]) == (30_000, 100_000)
    assert needs["object_gigabytes_per_second"] == pytest.approx(0.3)  # 3 MB in ten seconds of a stream


def test_an_instance_costs_the_same_for_few_streams():
    rows = instance_cost_by_streams(0.25, 0.75, load_prices())  # 12 streams fill three of four vCPUs
    assert [row["streams"] for row in rows] == [1, 2, 5, 10, 12]
    assert [row["streams"] * row["per_stream_hour"] for row in rows] == pytest.approx([0.17] * 5)
    assert [row["streams"] for row in instance_cost_by_streams(1.4, 0.75, load_prices())] == [1, 2]
    assert instance_cost_by_streams(4.0, 0.75, load_prices()) == []


def test_agreement_pairs_each_incident_once():
    ours = {"a": [["video.black", 1.0, 2.0], ["video.black", 1.01, 2.0]], "b": [["video.blur", 0.0, 4.0]]}
    theirs = {"a": [["video.black", 1.0, 2.0]], "b": [["video.noise", 0.0, 4.0]]}
    found = agreement(ours, theirs, within_seconds=0.05)
    assert (found["in_both"], found["exact_to_the_last_bit"]) == (1, 1)
    assert found["only_avjury"] == ["a: video.black 1.01 to 2.00", "b: video.blur 0.00 to 4.00"]
    assert found["only_chain"] == ["b: video.noise 0.00 to 4.00"]
    assert found["share"] == pytest.approx(1 / 4)


def test_counts_are_taken_apart_level_by_level():
    before = {"a": 1, "of": {"x": 2.0}, "resident_mb_largest": 5}
    after = {"a": 4, "of": {"x": 3.0, "y": 1.0}, "resident_mb_largest": 7}
    assert difference(after, before) == {"a": 3, "of": {"x": 1.0, "y": 1.0}, "resident_mb_largest": 7}


def test_an_execution_is_on_disk_before_it_goes_on(tmp_path):
    machine = StateMachine(tmp_path / "state.db")
    machine.start("s/0", "Convert", {"second": 0})
    machine.enter("s/0", "Detect", {})
    again = StateMachine.__new__(StateMachine)
    again._database = __import__("sqlite3").connect(tmp_path / "state.db")
    assert again.states("s/0") == ["Convert", "Detect"]
    assert again.unfinished() == 1
    machine.end("s/0")
    assert (again.unfinished(), machine.transitions) == (0, 2)
    again.close()
    machine.close()
