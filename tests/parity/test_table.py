"""Every comparison of `avjury bench parity` keeps its tolerance."""

import pytest
from media import media_dir

from benchmarks.parity import Compared, compare, comparisons, table


@pytest.mark.slow
@pytest.mark.parametrize("name", comparisons())
def test_a_quantity_is_that_of_ffmpegs_filter(name):
    folder = media_dir()
    if folder is None:
        pytest.skip("no real clips (set AVJURY_MEDIA)")
    found = compare(name, folder)
    assert found
    for one in found:
        assert one.held, one


def test_a_tolerance_that_is_exceeded_is_told():
    kept = Compared("scdet", "score", "scene_score", "largest difference", 0.001, 0.01, 10)
    assert kept.held is True
    assert Compared("scdet", "score", "scene_score", "largest difference", 0.02, 0.01, 10).held is False
    assert (
        Compared("scdet", "score", "scene_score", "largest difference", 0.0, 0.01, 0).held is False
    )  # nothing compared
    lines = list(table([{**{name: getattr(kept, name) for name in kept.__slots__}, "held": False}]))
    assert lines[-1] == "| `scdet` | score | `scene_score` | largest difference: 0.001 | 0.01 | 10 | **no** |"
