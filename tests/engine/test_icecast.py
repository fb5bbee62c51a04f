"""Sound from a real Icecast server, whose source comes and goes."""

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import program

from engine.ingest.source import Source

CONFIGURATION = """<icecast>
<limits><clients>10</clients><sources>2</sources></limits>
<authentication><source-password>hackme</source-password><admin-user>a</admin-user>
<admin-password>hackme</admin-password></authentication>
<hostname>localhost</hostname>
<listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket>
<fileserve>0</fileserve>
<paths><logdir>{folder}</logdir><webroot>{folder}</webroot><adminroot>{folder}</adminroot></paths>
<logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog></logging>
<security><chroot>0</chroot><changeowner><user>nobody</user><group>nogroup</group></changeowner></security>
</icecast>
"""


@pytest.fixture
def icecast() -> Iterator[int]:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = int(unused.getsockname()[1])
    # It gives root's rights up, and root's folders of temporary files are closed to all others.
    folder = Path(tempfile.mkdtemp(prefix="avjury-icecast-"))
    folder.chmod(0o777)
    configuration = folder / "icecast.xml"
    configuration.write_text(CONFIGURATION.format(port=port, folder=folder))
    server = subprocess.Popen([program("icecast2"), "-c", str(configuration)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert time.monotonic() < deadline, (folder / "error.log").read_text()
            time.sleep(0.1)
        yield port
    finally:
        server.kill()
        server.wait(10)
        shutil.rmtree(folder)


def test_a_radio_stream_is_sound_without_an_end(icecast: int) -> None:
    command = [
        program("ffmpeg"), "-v", "error", "-re", "-f", "lavfi", "-i", "sine=frequency=440", "-c:a", "libmp3lame",
        "-content_type", "audio/mpeg", "-f", "mp3", f"icecast://source:hackme@127.0.0.1:{icecast}/radio.mp3",
    ]  # fmt: skip
    encoder = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        time.sleep(2.0)
        with Source(f"http://127.0.0.1:{icecast}/radio.mp3") as source:
            info = source.open()
            assert info.live
            assert info.video is None
            assert info.audio is not None
            assert info.audio.codec == "mp3"
            times = []
            for packet in source.packets():
                times.append(packet.pts)
                if len(times) == 100:
                    encoder.kill()
                    encoder.wait(10)
            assert times[0] == 0.0
            assert len(times) >= 100
            assert source.why_ended() in ("ended", "reset"), source.error
    finally:
        encoder.kill()
        encoder.wait(10)
