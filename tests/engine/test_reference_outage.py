"""Over real sockets and an ingest process: a reference that hangs, or is gone, and comes back."""

import time

import pytest
from live_kit import live
from made_programme import write_programme
from on_air import OnAir

BOTH = {"av.sync": {}, "av.reference_mismatch": {"duration": 3.0}}
AWAY_SECONDS = 14.0


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("how", ["hanging", "off"])
def test_an_outage_of_the_reference_is_no_other_programme_and_what_follows_is_compared(tmp_path, how):
    contribution = write_programme(tmp_path / "contribution.ts", 1, seconds=160, size=(96, 54))
    late = write_programme(tmp_path / "late.ts", 1, seconds=160, rate=50, size=(128, 72), sound_late=0.2)

    def told():
        """Windows of which the offset is known, and what is known now."""
        comparison = kit.engine.comparing.of("late")
        known = [] if comparison is None else [one for one in comparison.windows if one.offset is not None]
        return known

    with live() as kit, OnAir({"contribution": contribution, "late": late}) as air:
        kit.take("late", air.url("late"), BOTH, reference="contribution")
        kit.take("contribution", air.url("contribution"), {"stream.stall": {}})
        kit.wait(lambda: "av.sync" in kit.found("late"), 60)
        getattr(air, how).add("contribution")
        time.sleep(AWAY_SECONDS)
        assert kit.state("contribution") == "stalled"
        getattr(air, how).clear()
        kit.wait(lambda: kit.state("contribution") == "running", 30)
        back = kit.engine.media_seconds("late")
        kit.wait(lambda: (found := told()) and found[-1].until > back + 8, 40)
        assert told()[-1].offset == pytest.approx(0.2, abs=0.02)
        assert kit.found("late") == {"av.sync"}, kit.heard.incidents
