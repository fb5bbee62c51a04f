import pickle
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from models.artifact_net import INPUTS, LABELS, PIECE, TILES, ArtifactNet, network_input, told_over, turned_over
from models.artifact_weights import load_artifact
from models.evaluate import average_precision, load_artifact_net, precision_recall, probabilities
from models.evaluate_frames import by_share, evaluate_frames
from models.synthesis.damaged_cases import damaged_cases
from models.synthesis.patches import make_shard
from models.synthesis.picture_windows import LONG, graphics, windows
from models.synthesis.planted_cases import planted_cases
from models.synthesis.tile_truth import UNKNOWN
from models.synthesis.what_shows import shows
from models.train import GRAPHICS, TrainSettings, quartered, sources, train, whole_loss
from models.warm_start import unfold
from models.weight_files import SHIPPED, WeightsError, read_weights, write_weights

WEIGHTS = SHIPPED / "artifact.safetensors"


def made_piece(seed):
    rng = np.random.default_rng(seed)
    return (
        rng.integers(0, 256, (1, 2, PIECE, PIECE), dtype=np.uint8),
        rng.integers(0, 256, (1, 2, 2, PIECE // 2, PIECE // 2), dtype=np.uint8),
    )


def test_the_map_has_a_logit_per_label_and_tile():
    net = ArtifactNet().eval()
    luma, chroma = (torch.from_numpy(part) for part in made_piece(0))
    inputs = network_input(luma, chroma)
    assert inputs.shape == (1, INPUTS, PIECE // 2, PIECE // 2)
    assert net(inputs).shape == (1, len(LABELS), TILES, TILES)
    assert sum(p.numel() for p in net.parameters()) <= 400_000


def test_folding_the_normalisation_changes_nothing():
    torch.manual_seed(0)
    net = ArtifactNet()
    inputs = network_input(*(torch.from_numpy(part) for part in made_piece(1)))
    net.train()
    for _ in range(3):
        net(inputs + torch.randn_like(inputs))  # so that the means are not those of a new network
    net.eval()
    with torch.inference_mode():
        # float32 sums of at most 432 products in another order: 432 * 2**-24 relative, on logits of order 1.
        torch.testing.assert_close(net.folded()(inputs), net(inputs), rtol=1e-4, atol=1e-4)


def test_training_from_folded_weights_begins_with_what_they_say():
    torch.manual_seed(0)
    folded = load_artifact_net(WEIGHTS)
    inputs = torch.randn(8, INPUTS, PIECE // 2, PIECE // 2)
    net = ArtifactNet()
    unfold(net, folded.state_dict(), inputs)
    assert net.training
    with torch.inference_mode():
        said = folded(inputs)
        torch.testing.assert_close(net.eval()(inputs), said, rtol=1e-4, atol=1e-4)
        # A batch's own means in place of the kept ones: what is a sample more or less, of 18,000 and fewer.
        torch.testing.assert_close(net.train()(inputs), said, rtol=0.02, atol=0.05)


def test_blocks_that_the_weights_do_not_have_begin_by_doing_nothing():
    torch.manual_seed(0)
    net = ArtifactNet()
    last = f"layers.{len(net.layers) - 1}."
    inputs = torch.randn(8, INPUTS, PIECE // 2, PIECE // 2)
    folded = net.folded()
    with torch.no_grad():
        for name, parameter in folded.named_parameters():
            if name.startswith(f"{last}two."):
                parameter.zero_()
    fewer = {name: tensor for name, tensor in folded.state_dict().items() if not name.startswith(last)}
    new = ArtifactNet()
    unfold(new, fewer, inputs)
    with torch.inference_mode():
        torch.testing.assert_close(new.eval()(inputs), folded(inputs), rtol=1e-4, atol=1e-4)
    # It learns all the same.
    new.train()(inputs).square().mean().backward()
    assert new.get_parameter(f"{last}two.1.weight").grad.abs().max() > 0
    # A part of a block is another network's.
    with pytest.raises(WeightsError, match="other tensors"):
        unfold(ArtifactNet(), fewer | {f"{last}one.0.weight": torch.zeros(3)}, inputs)


def test_a_piece_in_quarters_has_the_truth_of_each():
    luma = np.arange(2 * 2 * 8 * 8, dtype=np.uint8).reshape(2, 2, 8, 8)
    truth = luma[:, 0, ::4, ::4, None]
    parts, told = quartered(luma, 2), quartered(truth, 1)
    assert parts.shape == (8, 2, 4, 4)
    assert told.shape == (8, 1, 1, 1)
    assert np.array_equal(parts[:, 0, 0, 0], told[:, 0, 0, 0])
    assert sorted(parts.ravel()) == sorted(luma.ravel())


def test_a_piece_counts_as_a_whole_where_it_is_known():
    truth = torch.zeros((3, TILES, TILES), dtype=torch.uint8)
    truth[1, 2, 3] = 1
    truth[2, 0, 0] = UNKNOWN
    logits = torch.full((3, TILES, TILES), -20.0)
    logits[1, 2, 3] = 20.0
    assert whole_loss(logits, truth) < 1e-6
    # What is said where nobody can tell costs nothing; one tile of a clean piece does.
    logits[2, 0, 0] = 20.0
    assert whole_loss(logits, truth) < 1e-6
    logits[0, 5, 5] = 20.0
    assert whole_loss(logits, truth) > 5
    # Damage that is told elsewhere in the piece is told all the same; damage that is told nowhere is not.
    logits[0, 5, 5] = logits[1, 2, 3] = -20.0
    assert whole_loss(logits, truth) > 5


def test_training_from_another_network_s_weights_is_refused():
    with pytest.raises(WeightsError, match="other tensors"):
        unfold(ArtifactNet(), {"head.weight": torch.zeros(3)}, torch.zeros(2, INPUTS, 48, 48))


def flat_picture(level):
    return np.full((64, 64), level, np.uint8), np.full((32, 32), 128, np.uint8), np.full((32, 32), 128, np.uint8)


def test_what_is_copied_from_another_picture_does_not_show_but_for_its_seams():
    sent, before = flat_picture(100), flat_picture(140)
    everywhere = np.ones((4, 4), bool)
    # All of it is the picture before: a viewer sees a picture of the programme.
    assert not shows(before, sent, [before], everywhere).any()
    # A tile of it stands out of what is beside it.
    patched = (sent[0].copy(), *sent[1:])
    patched[0][16:32, 16:32] = 140
    one = np.zeros((4, 4), bool)
    one[1, 1] = True
    assert shows(patched, sent, [before], one)[1, 1]
    # What fits all around is not seen, whatever it is; what no picture shows is, with all that hangs together with it.
    assert not shows(flat_picture(60), sent, [before], everywhere).any()
    torn = (sent[0].copy(), *sent[1:])
    torn[0][16:48, 16:48] = 60
    four = np.zeros((4, 4), bool)
    four[1:3, 1:3] = True
    assert np.array_equal(shows(torn, sent, [before], four), four)


def test_pictures_with_little_damage_are_left_out_where_more_is_asked_for():
    # A clean picture that is taken for damage, two pictures with little of it, one told and one missed, one with much.
    rows = by_share(np.array([0.7, 0.1, 0.6, 0.2, 0.9]), np.array([0.0, 0.0, 0.015, 0.015, 0.5]))
    assert [(row["least_share"], row["damaged"], row["found"]) for row in rows] == [
        (0.01, 3, 2), (0.02, 1, 1), (0.05, 1, 1), (0.1, 1, 1), (0.3, 1, 1),
    ]  # fmt: skip
    assert rows[0]["average_precision"] == pytest.approx((1 + 2 / 3 + 3 / 4) / 3, abs=1e-4)
    assert rows[1]["average_precision"] == 1.0


@pytest.mark.slow
def test_whole_pictures_are_judged_damaged_and_clean():
    found = evaluate_frames(load_artifact_net(WEIGHTS), [2], seed=1, count=1)
    assert found["network"]["positive"] >= 5
    assert found["network"]["known"] - found["network"]["positive"] >= 5
    assert (
        found["pictures"]
        == found["network"]["known"]
        == sum(kind["damaged"] + kind["clean"] for kind in found["by_kind"].values())
    )
    # Better than chance, which is the share of damaged pictures.
    assert found["network"]["average_precision"] > found["network"]["positive"] / found["pictures"]


@pytest.mark.slow
def test_shipped_weights_are_read_and_tell_damage_from_none(tmp_path):
    net = load_artifact_net(WEIGHTS)
    # Of all held-out graphics: one of them alone may be a hard one, as its draws fall.
    tried = sources(tmp_path, (), held_out=True)
    shards = [make_shard(number, seed=5, count=1) for number in tried]
    said = np.concatenate([probabilities(net, shard["luma"], shard["chroma"])[..., 0] for shard in shards])
    truth = np.concatenate([shard["truth"][..., 0] for shard in shards])
    assert said[truth == 1].mean() > said[truth == 0].mean() + 0.2


def test_a_pickle_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    torch.save(ArtifactNet().state_dict(), path)
    with pytest.raises(WeightsError, match="pickle"):
        read_weights(path, "artifact")
    path.write_bytes(pickle.dumps({"weights": 1}))
    with pytest.raises(WeightsError, match="pickle"):
        read_weights(path, "artifact")


def test_changed_weights_are_refused(tmp_path):
    path = tmp_path / "mine.safetensors"
    write_weights(path, ArtifactNet().folded().state_dict(), {"network": "artifact"})
    assert read_weights(path, "artifact")[1]["network"] == "artifact"
    with pytest.raises(WeightsError, match="of the network"):
        read_weights(path, "sound")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="get it anew"):
        read_weights(path, "artifact")
    (tmp_path / "text.safetensors").write_text("not weights at all, only a text of some length")
    with pytest.raises(WeightsError, match="no safetensors file"):
        read_weights(tmp_path / "text.safetensors", "artifact")


@pytest.mark.slow
def test_the_same_seed_makes_the_same_pieces():
    one, other = (make_shard(0, seed=3, count=1) for _ in range(2))
    planted = np.char.find(one["kind"], "hevc") < 0  # libav shows what a buffer held before where HEVC lost a slice
    assert one["kind"].tolist() == other["kind"].tolist()
    assert np.array_equal(one["luma"][planted], other["luma"][planted])
    assert np.array_equal(one["truth"][planted], other["truth"][planted])


def test_no_clip_is_both_trained_on_and_held_out(tmp_path):
    for index in range(20):
        (tmp_path / f"clip{index}.mp4").touch()
    trained, held = (sources(tmp_path, (), held_out) for held_out in (False, True))
    assert not set(map(str, trained)) & set(map(str, held))
    assert len(trained) + len(held) == 20 + GRAPHICS


def test_a_damaged_stream_has_damage_where_it_differs():
    window = graphics(np.random.default_rng(4))
    cases = list(damaged_cases(window, Fraction(25), "mpeg2", "slice", np.random.default_rng(1), 4))
    assert any((case.truth[..., 0] == 1).any() for case in cases)
    assert all(case.truth.shape == (16, 24, len(LABELS)) for case in cases)


def test_whole_pictures_right_behind_damaged_ones_come_first():
    window = graphics(np.random.default_rng(4))
    rest = [
        case
        for seed in range(3)
        for case in damaged_cases(window, Fraction(25), "mpeg2", "slice", np.random.default_rng(seed), 4, whole=2)
        if not case.truth[..., 0].any()
    ]
    assert len(rest) == 6
    # Of the picture before, something is left to see.
    behind = [np.abs(case.now[0].astype(int) - case.earlier[0]).max() > 12 for case in rest]
    assert any(behind)


def test_of_a_clip_every_second_picture_may_be_taken(tmp_path):
    path = tmp_path / "counted.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = PIECE, PIECE, "yuv420p"
        for number in range(2 * LONG + 10):
            level = np.full((PIECE * 3 // 2, PIECE), 16 + 2 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(level, "yuv420p")))
        container.mux(stream.encode(None))
    for step in (1, 2):
        # The step is drawn of those given.
        ((part, _),) = windows(path, np.random.default_rng(1), 1, (step, step))
        levels = [int(picture[0][0, 0]) for picture in part]
        assert len(levels) == LONG
        assert set(np.diff(levels)) == {2 * step}


def test_planted_noise_is_true_everywhere():
    window = graphics(np.random.default_rng(4))
    case = next(planted_cases(window, Fraction(25), "noise", np.random.default_rng(1), 1))
    noise = case.truth[..., LABELS.index("noise")]
    assert (noise == 1).mean() > 0.9
    assert (case.truth[..., LABELS.index("banding")] == UNKNOWN).all()


def test_average_precision_of_a_known_ranking():
    # Ranked true, false, true: 1/2 * 1 + 1/2 * 2/3.
    precision, recall, _ = precision_recall(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]))
    assert average_precision(precision, recall) == pytest.approx(5 / 6)


@pytest.mark.slow
def test_training_goes_on_where_it_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("models.train.GRAPHICS", 1)
    (tmp_path / "media").mkdir()
    said: list[str] = []

    def run(minutes):
        return train(
            TrainSettings(tmp_path / "media", tmp_path / "work", tmp_path / "net.safetensors", minutes, windows=1),
            said.append,
        )

    threads = torch.get_num_threads()
    try:
        path = run(0.01)
        first = [line for line in said if "step" in line][-1]
        said.clear()
        run(0.1)  # more than one step takes, on a machine that is busy too
    finally:
        torch.set_num_threads(threads)
    steps = [int(line.split("step ")[1].split(",")[0]) for line in (first, [s for s in said if "step" in s][-1])]
    assert steps[1] > steps[0] > 0
    assert load_artifact_net(path) is not None
    assert not [s for s in said if s.startswith("graphics")]  # the pieces were there already


@pytest.mark.parametrize("axes", [(-1,), (-2,), (-1, -2)])
def test_a_picture_turned_over_is_seen_as_its_mirror_image_is(axes):
    net = load_artifact().net
    rng = np.random.default_rng(5)
    luma = torch.from_numpy(rng.integers(16, 235, (1, 2, 64, 96), dtype=np.uint8))
    chroma = torch.from_numpy(rng.integers(90, 160, (1, 2, 2, 32, 48), dtype=np.uint8))
    inputs = network_input(luma, chroma)
    mirrored = network_input(luma.flip(axes), chroma.flip(axes))
    assert torch.equal(turned_over(inputs, axes), mirrored)
    assert not torch.equal(mirrored, inputs)
    with torch.inference_mode():
        own, other = (net(x.contiguous(memory_format=torch.channels_last))[:, 3] for x in (inputs, mirrored))
        told = told_over(net, inputs.contiguous(memory_format=torch.channels_last), 3, ((), axes))
    torch.testing.assert_close(told, (own + other.flip(axes)) / 2)
    assert (own - other.flip(axes)).abs().max() > 0.1
    assert torch.equal(turned_over(inputs, ()), inputs)


def test_what_is_said_of_a_clip_s_pictures_is_kept_and_found_again(tmp_path, monkeypatch):
    asked = []

    def made(net, source, seed, count, history):
        asked.append(source)
        scores = np.array([0.9, 0.2, 0.6]) if source == 2 else np.array([0.7])
        shares = np.array([0.5, 0.0, 0.0]) if source == 2 else np.array([0.1])
        kinds = np.array(["h264 cut", "clean", "cut"][: len(scores)], "U16")
        both = np.stack([scores, 1 - scores], axis=1)
        of_anew = {"anew_said": scores, "anew_torn": -scores, "anew_share": shares, "anew_same_size": shares > 0.2}
        told = {"said": scores, "last": scores, "torn": scores, "share": shares, "kind": kinds, "by_history": both}
        return told | of_anew

    monkeypatch.setattr("models.evaluate_frames.scored", made)
    first, second = (evaluate_frames(None, [2, tmp_path / "a.mp4"], 1, 1, None, tmp_path / "kept") for _ in range(2))
    assert asked == [2, tmp_path / "a.mp4"]
    assert first == second
    assert (first["pictures"], first["network"]["average_precision"]) == (4, 1.0)
    assert first["network_of_real_clips"] == {"positive": 1, "known": 1, "average_precision": None}
    # One in three, and two in four: 0.1 is the last of all, 0.3 the last but one.
    assert first["with_every_third_before"]["average_precision"] == pytest.approx((1 / 3 + 2 / 4) / 2, abs=1e-4)
    anew = first["coded_anew"]
    assert [(anew[of]["pictures"], anew[of]["damaged"]) for of in ("all", "same_size", "another_size")] == [
        (4, 2), (1, 1), (3, 1),
    ]  # fmt: skip
    assert anew["another_size"]["network"]["average_precision"] == 1.0
    assert anew["another_size"]["torn_blocks"]["average_precision"] == pytest.approx(1 / 3, abs=1e-4)
    assert first["by_kind"]["cut"] == {"damaged": 0, "found": 0, "clean": 1, "false": 1}
