"""A planned fleet holds what it is planned for, also once the spare nodes are lost, and no smaller one does."""

import json

import pytest
from properties import HealthCheck, given, settings, st

from benchmarks.fleet_plan import Kind, cost, fleets, fullest, nodes, parse_kind
from benchmarks.plan import Figures, Wanted, limits_of, main
from engine.cluster.placement import DEFAULT_LIMITS


@pytest.fixture(scope="module")
def figures():
    return Figures.load()


KINDS = st.lists(
    st.builds(
        Kind,
        st.integers(1, 20_000),
        st.builds(
            Wanted,
            codec=st.sampled_from(("h264", "hevc", "av1")),
            width=st.sampled_from((320, 1280, 1920, 3840)),
            height=st.sampled_from((180, 720, 1080, 2160)),
            rate=st.sampled_from((5.0, 25.0, 60.0)),
        ),
    ),
    min_size=1,
    max_size=4,
)


@given(kinds=KINDS, spare=st.integers(0, 5))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_fleet_holds_what_it_is_planned_for_and_no_smaller_one_does(figures, kinds, spare):
    for instance in figures.prices["instances"]:
        found = nodes(kinds, instance, spare, figures)
        limits = [(kind.count, limits_of(kind.wanted, instance, figures)) for kind in kinds]
        if any(isinstance(of, str) for _, of in limits):
            assert (found.count, found.hour) == (None, None)
            continue

        def busiest(left, limits=limits):
            """Of the resources of an instance that has its even part of every kind, the share of the fullest."""
            used = {}
            for count, of in limits:
                for name, most in of.items():
                    used[name] = used.get(name, 0.0) + -(-count // left) / most
            return max(used.values())

        if found.count is None:
            assert busiest(max(kind.count for kind in kinds)) > DEFAULT_LIMITS.fill
            continue
        left = found.count - spare
        assert busiest(left) <= DEFAULT_LIMITS.fill
        assert left == 1 or busiest(left - 1) > DEFAULT_LIMITS.fill
        assert found.hour == pytest.approx(found.count * figures.prices["instances"][instance]["hour"])
        assert found.full == pytest.approx(busiest(left) / DEFAULT_LIMITS.fill)
        more = nodes([*kinds, kinds[0]], instance, spare, figures)
        assert more.count is None or more.count >= found.count


@given(kinds=KINDS, spare=st.integers(0, 3))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_fleets_are_listed_by_what_they_cost_and_all_judge_everything(figures, kinds, spare):
    found = fleets(kinds, spare, figures)
    costs = [cost(fleet) for fleet in found if cost(fleet) is not None]
    assert costs == sorted(costs)
    assert costs, "a CPU judges all of these"
    for fleet in found:
        assert sum(one.streams for one in fleet) == sum(kind.count for kind in kinds)
        assert len({one.instance for one in fleet}) == len(fleet)


def test_the_resource_that_binds_is_the_one_that_is_fullest():
    limits = [(100, {"CPU": 20.0, "memory": 50.0}), (10, {"CPU": 100.0, "memory": 5.0})]
    # Of 10 instances each has 10 and 1: 10/20 + 1/100 of the CPU, 10/50 + 1/5 of the memory.
    assert fullest(limits, 10) == (pytest.approx(0.51 / DEFAULT_LIMITS.fill), "CPU")
    assert fullest(limits, 5)[1] == "CPU"
    assert fullest([limits[1]], 5)[1] == "memory"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("400", "COUNT:CODEC"),
        ("0:h264:1920x1080:25", "1 to 1,000,000"),
        ("x:h264:1920x1080:25", "1 to 1,000,000"),
        ("4:vp8:1920x1080:25", "one of h264"),
        ("4:h264:1080p:25", "WIDTHxHEIGHT"),
        ("4:h264:1920x1080:fast", "number of pictures"),
        ("4:h264:1920x1080:0", "above 0"),
    ],
)
def test_what_makes_no_sense_is_an_error_that_says_so(capsys, text, said):
    assert main(["--streams", text]) == 2
    assert said in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"\S"):
        parse_kind(text, None)


def test_the_command_says_how_many_of_each_and_what_binds(capsys):
    mix = ["--streams", "400:h264:1920x1080:25", "--streams", "30:av1:1280x720:25"]
    assert main([*mix, "--spare", "2", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)["fleets"]
    assert rows[0]["dollars_per_hour"] == min(row["dollars_per_hour"] for row in rows if row["dollars_per_hour"])
    mixed = next(row for row in rows if len(row["nodes"]) == 2)
    assert all(one["spare"] == 2 and one["count"] > 2 and one["binds"] for one in mixed["nodes"])
    assert main([*mix, "--spare=-1"]) == 2
    assert "0 nodes" in capsys.readouterr().err
    assert main([*mix, "--instance", "c6i.xlarge"]) == 0
    assert "x c6i.xlarge" in capsys.readouterr().out
