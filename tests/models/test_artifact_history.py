"""What the maps before tell of a tile: the state that is kept, and the network over it."""

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from models.artifact_history import (
    INPUTS,
    KEPT,
    LEAST_RETURNS,
    MEMBERS,
    MOST_LOGIT,
    RECENT,
    USUAL_MAPS,
    USUAL_STEP,
    History,
    HistoryNet,
    load_history,
    surest,
)
from models.artifact_weights import SHIPPED_WEIGHTS
from models.weight_files import WeightsError, digest_of, write_weights

CPU = torch.device("cpu")
NEVER = torch.zeros(1, dtype=torch.bool)


def plainly_seen(maps):
    """The seven numbers of one tile's last map, number by number. maps: logits, the oldest first."""
    maps = [min(max(float(m), -MOST_LOGIT), MOST_LOGIT) for m in maps]
    *before, now = maps
    if not before:
        return [now] * INPUTS
    recent = ([before[0]] * RECENT + before)[-RECENT:]
    usual = least = before[0]
    for number, one in enumerate(before[1:], start=2):
        usual += min(max(one - usual, -USUAL_STEP), USUAL_STEP) / min(number, USUAL_MAPS)
        least = min(one, least + (usual - least) * LEAST_RETURNS)
    return [now, recent[-1], recent[-2], sum(recent) / RECENT, max(recent), usual, least]


def series_of(seed, count, rows=2, columns=3):
    """Maps as they come: low, with what flares up here and there."""
    rng = np.random.default_rng(seed)
    maps = rng.normal(-6, 2, (count, rows, columns)) + 10 * (rng.random((count, rows, columns)) < 0.1)
    return torch.from_numpy(maps.astype(np.float32))


def taken(history, slot, maps, anew=NEVER):
    return torch.stack([history.take(torch.tensor([slot]), now[None], anew)[0] for now in maps])


def test_the_seven_numbers_are_those_of_the_plain_reference():
    maps = series_of(1, 90)
    seen = taken(History(2, 2, 3, CPU), 1, maps)
    for last in (0, 1, 2, 5, 6, 7, 31, 32, 33, 89):
        for row, column in np.ndindex(2, 3):
            wanted = plainly_seen(maps[: last + 1, row, column])
            # 90 steps, each rounded by 2**-24 of at most 12.
            assert (4 * seen[last, :, row, column]).tolist() == pytest.approx(wanted, abs=90 * 12 * 2**-24)


def test_what_is_kept_of_a_stream_does_not_depend_on_the_others():
    one, two, three = (series_of(seed, 12, 4, 5) for seed in (1, 2, 3))
    alone = taken(History(4, 4, 5, CPU), 2, one)
    history, beside = History(4, 4, 5, CPU), []
    for number in range(12):
        slots, maps = [2, 0, 3], [one[number], two[number], three[number]]
        if number % 2:
            slots, maps = slots[::-1], maps[::-1]
        seen = history.take(torch.tensor(slots), torch.stack(maps), torch.zeros(3, dtype=torch.bool))
        beside.append(seen[slots.index(2)])
    assert torch.equal(torch.stack(beside), alone)


def test_a_gap_and_another_stream_begin_anew():
    maps = series_of(1, 20)
    fresh = taken(History(1, 2, 3, CPU), 0, maps[10:])
    gap = History(1, 2, 3, CPU)
    taken(gap, 0, maps[:10])
    first = gap.take(torch.tensor([0]), maps[10:11], torch.tensor([True]))
    assert torch.equal(first[0], fresh[0])
    assert torch.equal(taken(gap, 0, maps[11:]), fresh[1:])
    other = History(1, 2, 3, CPU)
    taken(other, 0, torch.full((3, 2, 3), torch.nan))
    other.forget(0)
    assert torch.equal(taken(other, 0, maps[10:]), fresh)


def test_of_a_first_map_all_seven_numbers_are_that_map():
    now = series_of(1, 1)
    seen = 4 * taken(History(1, 2, 3, CPU), 0, now)[0]
    # The mean of six equal numbers: five sums and a division, each rounded by 2**-24 of at most 6 * 12.
    torch.testing.assert_close(seen, now.expand(INPUTS, 2, 3), rtol=0, atol=12 * 6 * 2**-24)


def test_what_was_long_ago_is_forgotten():
    late = series_of(3, 1500)
    seen = [taken(History(1, 2, 3, CPU), 0, torch.cat([early, late]))[-1] for early in (late[:40] + 9, late[:40] - 6)]
    # The least comes back by a 64th each time: 24 * (63 / 64)**1500 is 1e-9, beside what rounding leaves.
    torch.testing.assert_close(*seen, rtol=0, atol=1e-5)


def test_what_a_tile_usually_shows_follows_a_burst_by_little():
    quiet = torch.full((60, 1, 1), -8.0)
    burst = torch.cat([quiet, torch.full((4, 1, 1), 8.0), quiet[:1]])
    usual = 4 * taken(History(1, 1, 1, CPU), 0, burst)[-1, 5, 0, 0]
    assert -8.0 < usual <= -8.0 + 4 * USUAL_STEP / USUAL_MAPS


def test_nothing_that_is_launched_depends_on_what_is_seen():
    net = HistoryNet().eval()
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        # Reading a number back, or a size that follows from one, raises here.
        history = History(3, 4, 5, CPU)
        seen = history.take(torch.tensor([0, 2]), torch.zeros(2, 4, 5), torch.zeros(2, dtype=torch.bool))
        told = net(seen, torch.ones(2, 4, 5, dtype=torch.bool))
    assert told.shape == (2, 4, 5)


def some_net(seed=0):
    torch.manual_seed(seed)
    net = HistoryNet().eval()
    with torch.no_grad():
        for member in net.members:
            member.told.weight.normal_(0, 0.3)
    return net


def test_untrained_it_says_what_the_map_says():
    now = series_of(1, 1)
    seen = taken(History(1, 2, 3, CPU), 0, now)
    net = HistoryNet().eval()
    assert len(net.members) == MEMBERS
    with torch.no_grad():
        torch.testing.assert_close(net(seen), now, rtol=1e-6, atol=1e-6)
    assert sum(p.numel() for p in net.parameters()) <= 15_000


def test_what_it_says_does_not_depend_on_what_lies_beyond_the_picture():
    net, seen = some_net(), torch.randn(2, INPUTS, 6, 7)
    room = torch.full((2, INPUTS, 9, 11), torch.nan)
    room[:, :, :6, :7] = seen
    inside = torch.zeros(2, 9, 11, dtype=torch.bool)
    inside[:, :6, :7] = True
    with torch.no_grad():
        found, wanted = net(room, inside)[:, :6, :7], net(seen)
    assert (wanted - net.members[0](seen)).abs().max() > 0.01  # the members do differ
    # Sums of 144 products of order 1 in another order: 144 * 2**-24, times the scale of 4.
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_a_picture_is_the_mean_of_its_surest_hundredth():
    logits = torch.arange(400.0).reshape(1, 20, 20)
    assert surest(logits).tolist() == [(399 + 398 + 397 + 396) / 4]
    assert surest(torch.tensor([[[1.0, 3.0]]])).tolist() == [3.0]


def test_weights_are_read_as_written_and_others_refused(tmp_path):
    net, path = some_net(3), tmp_path / "history.safetensors"
    write_weights(path, net.state_dict(), {"network": "artifact_history", "version": "9", "artifact": "abc"})
    read = load_history(path)
    assert (read.artifact, read.version) == ("abc", "9")
    seen = torch.randn(1, INPUTS, 4, 4)
    with torch.no_grad():
        assert torch.equal(read.net(seen), net(seen))
    write_weights(path, net.state_dict(), {"network": "artifact"})
    with pytest.raises(WeightsError, match="artifact_history"):
        load_history(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="is not the file"):
        load_history(path)
    torch.save(net.state_dict(), path)
    path.with_name(path.name + ".sha256").unlink()
    with pytest.raises(WeightsError, match="pickle"):
        load_history(path)


def test_shipped_weights_are_of_the_shipped_maps_and_tell_what_is_new_from_what_was_there():
    shipped = load_history()
    assert shipped.artifact == digest_of(SHIPPED_WEIGHTS)
    maps = torch.full((20, 8, 8), -7.0)
    maps[:, 1:3, 1:3] = 2.0  # letters that have looked so all along
    maps[-3:, 5:7, 5:7] = 2.0
    with torch.no_grad():
        told = shipped.net(taken(History(1, 8, 8, CPU), 0, maps)[-1:])[0]
    assert told[5:7, 5:7].min() > told[1:3, 1:3].max() > told[1:3, 5:7].max()


def test_memory_of_a_slot_is_what_is_kept_and_no_more():
    history = History(3, 4, 5, CPU)
    before = history._maps.data_ptr(), history._maps.shape
    taken(history, 1, series_of(1, 50, 4, 5))
    assert (history._maps.data_ptr(), history._maps.shape) == before == (before[0], (3, KEPT, 4, 5))
