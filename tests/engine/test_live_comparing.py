"""Streams that are compared while they are on the air, and what may be changed of that without opening them again."""

import pytest
from live_kit import live
from made_programme import write_programme

BOTH = {"av.sync": {}, "av.reference_mismatch": {"duration": 1.0}}


def latest(kit, stream):
    seconds = kit.heard.seconds.get(stream)
    return seconds[-1].sync if seconds else None


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_live_streams_are_compared_and_that_is_changed_on_the_way(tmp_path):
    contribution = write_programme(tmp_path / "contribution.ts", 1)
    late = write_programme(tmp_path / "late.ts", 1, rate=50, size=(128, 72), sound_late=0.2)
    other = write_programme(tmp_path / "other.ts", 2)
    with live() as kit:
        kit.take("late", late, BOTH, loop=True, reference="contribution")
        kit.take("other", other, BOTH, loop=True, reference="contribution")
        kit.take("contribution", contribution, {"video.black": {}}, loop=True)
        kit.wait(lambda: (found := latest(kit, "late")) is not None and found.verdict == "out_of_sync", 60)
        found = latest(kit, "late")
        assert found.offset_ms == pytest.approx(200, abs=20)
        assert (found.way, found.same_programme) == ("reference", True)
        assert abs(found.latency_ms) < 5000
        kit.wait(lambda: kit.heard.report("late").sync.verdict == "out_of_sync", 10)
        assert latest(kit, "contribution") is None
        kit.wait(lambda: "av.sync" in kit.found("late"), 20)
        kit.wait(lambda: "av.reference_mismatch" in kit.found("other"), 150)
        assert latest(kit, "other").same_programme is False
        # Switched off and on again, its source stays open.
        begun = kit.frames("late")
        kit.take("late", late, {"video.black": {}}, loop=True, reference="contribution")
        kit.wait(lambda: latest(kit, "late") is None, 10)
        kit.take("late", late, {"av.sync": {}}, loop=True)
        kit.wait(lambda: (found := latest(kit, "late")) is not None and found.latency_ms is None, 10)
        kit.take("contribution", contribution, {"av.sync": {}}, loop=True)
        kit.wait(lambda: latest(kit, "contribution") is not None, 10)
        assert kit.frames("late") > begun
        assert "late" not in kit.heard.ended
