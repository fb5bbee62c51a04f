"""Capture devices: for who runs the machine, and for nobody else.

There is neither a camera nor a sound card here; ALSA's own file device stands for the latter, and sends as fast as it
is read. Video4Linux2 is only asked for what is not there.
"""

import subprocess
from pathlib import Path

import pytest
from media import ffmpeg_exe

from engine.errors import SourceError
from engine.ingest.capture import device_options
from engine.ingest.causes import is_permanent
from engine.ingest.source import Source
from engine.ingest.url_policy import UrlPolicy

ALSA = Path("/usr/share/alsa/alsa.conf")


@pytest.mark.parametrize("url", ["alsa:hw:0", "v4l2:/dev/video0", "ALSA:default", "v4l2:/dev/video0?framerate=25"])
@pytest.mark.parametrize("private", [True, False])
def test_a_caller_of_the_api_may_open_no_device(url: str, private: bool) -> None:
    with pytest.raises(SourceError, match="scheme not allowed") as told:
        Source(url, policy=UrlPolicy(allow_files=False, allow_private=private)).open()
    assert is_permanent(told.value)


@pytest.mark.parametrize("url", ["lavfi:testsrc", "x11grab::0", "fbdev:/dev/fb0", "oss:/dev/dsp"])
def test_nobody_may_open_other_devices(url: str) -> None:
    with pytest.raises(SourceError, match="scheme not allowed"):
        Source(url).open()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("v4l2:/dev/video77", "the device cannot be opened"),
        ("v4l2:/dev/video77?framerate=25&list_formats=all", "unknown option list_formats"),
        ("alsa:", "it names no device"),
        ("alsa:hw 0", "it names no device"),
    ],
)
def test_what_a_wrong_device_is_told(url: str, told: str) -> None:
    with pytest.raises(SourceError) as caught:
        Source(url).open()
    assert told in caught.value.why


def test_options_are_those_of_the_device() -> None:
    name, form, options = device_options("v4l2:/dev/video0?video_size=1280x720&framerate=30", "s")
    assert (name, form) == ("/dev/video0", "video4linux2")
    assert options == {"video_size": "1280x720", "framerate": "30", "format_whitelist": "video4linux2,v4l2"}


@pytest.mark.skipif(not ALSA.exists(), reason="no ALSA configuration (libasound2-data)")
def test_sound_of_an_alsa_device_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = tmp_path / "tone.raw"
    tone = ["-f", "lavfi", "-i", "sine=r=48000:d=2", "-ac", "2", "-f", "s16le", str(raw)]
    subprocess.run([ffmpeg_exe(), "-v", "error", *tone], check=True, timeout=60)
    configuration = tmp_path / "asound.conf"
    device = f'type file slave.pcm "null" file "/dev/null" infile "{raw}" format "raw"'
    configuration.write_text(f"<{ALSA}>\npcm.tone {{ {device} }}\n")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(configuration))
    with Source("alsa:tone?channels=2&sample_rate=48000") as source:
        info = source.open()
        assert info.video is None
        assert info.audio is not None
        assert (info.live, info.container, info.audio.channels, info.audio.sample_rate) == (True, "alsa", 2, 48000)
        heard = b""
        for packet in source.packets():
            heard += bytes(packet.payload)
            if len(heard) > 4000:
                break
    assert heard[:4000] in raw.read_bytes()
    assert len(set(heard)) > 100
