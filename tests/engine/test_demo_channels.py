"""The channels of `avjury serve --demo`: one misbehaves as it is meant to, and the others have nothing to be told."""

import numpy as np
import pytest

from engine import demo_channels
from engine.configured import chosen_detectors, load_config
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec


@pytest.mark.parametrize("channel", demo_channels.CHANNELS, ids=lambda one: one.name)
def test_a_loop_ends_as_it_begins_and_moves_meanwhile(channel):
    texture = demo_channels.ground()
    first, last, between = (
        demo_channels.picture(channel, at, texture).astype(int) for at in (0.0, channel.seconds, 3.0)
    )
    # Hard edges may fall on either side of a pixel.
    assert np.mean(np.abs(first - last) > 2) < 0.005
    assert np.mean(np.abs(first - between)) > 5


@pytest.mark.slow
def test_only_the_troubled_channel_has_incidents_and_has_all_of_them(tmp_path):
    config, known = load_config(demo_channels.prepare(tmp_path / "channels"))
    specs = [StreamSpec(s.id, s.url, chosen_detectors(config, known, s)) for s in config.streams]
    outcomes = {outcome.stream: outcome for outcome in check(specs, EngineSettings(device="cpu"))}
    assert outcomes["news"].incidents == []
    assert outcomes["films"].incidents == []
    found = {incident.detector: incident for incident in outcomes["sport"].incidents}
    assert found.keys() == {"video.black", "video.freeze", "audio.silence", "audio.loudness"}
    for name, start in (("video.black", 8.0), ("video.freeze", 28.0), ("audio.silence", 48.0)):
        assert found[name].start == pytest.approx(start, abs=0.05)
        assert found[name].end == pytest.approx(start + 5, abs=0.05)
    # What is there is not made again, and what somebody changed stays.
    before = (tmp_path / "channels" / "sport.mp4").stat().st_mtime_ns
    (tmp_path / "channels" / "demo.yaml").write_text("streams: []\n")
    assert load_config(demo_channels.prepare(tmp_path / "channels"))[0].streams == []
    assert (tmp_path / "channels" / "sport.mp4").stat().st_mtime_ns == before
