"""The ingest process itself: light, hardened, and gone with whoever started it."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
from live_kit import encode, live, wait

from engine.handling import HandlingTable
from engine.ingest.control import IngestSays, Ready
from engine.ingest.feeder import Feeder
from engine.ingest.messages import Kind, Open
from engine.ingest.ring import RingReader, RingWriter, make_ring
from engine.service.children import Child, ending


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return str(encode(tmp_path_factory.mktemp("ingest") / "clip.ts", 4))


def test_it_loads_neither_torch_nor_a_compiler():
    program = (
        "import engine.ingest.process, sys; print([m for m in ('torch', 'numba', 'llvmlite') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout.strip() == b"[]"


@pytest.fixture
def child():
    made = Child("reader", "engine.ingest.process", IngestSays, 8, lambda: None, ("--most-memory-bytes", str(8 << 30)))
    yield made
    if made.ended() is None:
        made.kill()
    made.close()


def heard(child):
    """Its first message."""
    said = []
    wait(lambda: said.extend(child.channel.receive()) or said, 10)
    return said[0]


def test_it_gives_up_what_it_does_not_need(child):
    assert heard(child) == Ready(child.pid)
    with open(f"/proc/{child.pid}/status") as file:
        status = file.read()
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
    with open(f"/proc/{child.pid}/limits") as file:
        limits = file.read()
    assert re.search(r"Max core file size\s+0\s+0", limits)
    assert re.search(rf"Max address space\s+{8 << 30}\s+{8 << 30}", limits)
    assert psutil.Process(child.pid).memory_info().rss < 150 << 20


_TRIES_A_PROGRAM = """
import os, threading
from engine.hardening import give_up_privileges
give_up_privileges(0)
def run():
    try:
        os.execv("/bin/true", ["true"])
    except PermissionError:
        os.write(1, b"refused ")
thread = threading.Thread(target=run); thread.start(); thread.join()
run()
"""


def test_no_thread_of_it_can_run_a_program():
    done = subprocess.run([sys.executable, "-c", _TRIES_A_PROGRAM], capture_output=True, check=True)
    assert done.stdout == b"refused refused "


@pytest.mark.parametrize("how", ["terminated", "left alone"])
def test_it_ends_when_it_is_told_and_when_its_supervisor_is_gone(child, how):
    heard(child)
    if how == "terminated":
        child.terminate()
    else:
        child.channel._socket.shutdown(socket.SHUT_RDWR)
    wait(lambda: child.ended() is not None, 5)
    assert child.ended() == 0


_SUPERVISOR = """
import sys, time
from engine.service.contract import StreamPlan
from engine.service.fleet import LocalFleet
from engine.service.fleet_settings import FleetSettings
from engine.service.places import Group
class Deaf:
    def __getattr__(self, name): return lambda *_: None
fleet = LocalFleet(FleetSettings(groups=(Group("main", device="cpu"),)))
fleet.start(Deaf())
fleet.apply(StreamPlan("one", sys.argv[1], {"video.black": {}}, loop=True, private_addresses=True))
while fleet.ready(): time.sleep(0.05)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_a_supervisor_that_is_killed_takes_all_its_processes_along(clip):
    with subprocess.Popen([sys.executable, "-c", _SUPERVISOR, clip], stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout.readline() == b"ready\n"
        children = psutil.Process(supervisor.pid).children()
        assert len(children) == 2
        supervisor.send_signal(signal.SIGKILL)
    wait(lambda: not any(child.is_running() for child in children), 5, lambda: children)


def test_a_stream_for_which_there_is_no_room_goes_on_at_a_key_frame_and_says_what_was_dropped(clip):
    memory, doorbell = make_ring(64 << 10)  # less than a second of the clip
    writer, reader = RingWriter(os.dup(memory), os.dup(doorbell)), RingReader(memory, doorbell)
    table = HandlingTable(HandlingTable.make(1))
    feeder = Feeder(Open(7, "s", clip, loop=True), table.claim("s"))
    feeder.open(7, writer)
    try:
        wait(lambda: feeder.dropped > 30, 20)
        kinds = [record.kind for record in reader.read()]
        assert kinds[0] == Kind.OPENED
        assert Kind.SKIPPED not in kinds
        later = []

        def after_the_gap():
            later.extend(reader.read())
            kinds = [record.kind for record in later]
            return later[kinds.index(Kind.SKIPPED) :] if Kind.SKIPPED in kinds else []

        wait(lambda: any(record.kind == Kind.PACKET for record in after_the_gap()), 10)
        packet = next(record for record in after_the_gap() if record.kind == Kind.PACKET)
        assert packet.content[0] & 1  # a key frame
        assert {record.number for record in later} == {7}
    finally:
        feeder.forget()
        assert feeder.join(5)
        reader.close()
        writer.close()
        table.close()


def test_of_a_stream_that_is_not_decoded_a_packet_comes_now_and_then_and_all_again_behind_a_mark(clip):
    memory, doorbell = make_ring()
    writer, reader = RingWriter(os.dup(memory), os.dup(doorbell)), RingReader(memory, doorbell)
    table = HandlingTable(HandlingTable.make(1))
    feeder = Feeder(Open(7, "s", clip, loop=True), table.claim("s"))
    feeder.open(7, writer)
    records = []

    def packets():
        records.extend(reader.read())
        return sum(record.kind == Kind.PACKET for record in records)

    try:
        wait(lambda: packets() > 30, 20)
        feeder.thin(True)
        time.sleep(0.2)
        packets()
        records.clear()
        time.sleep(2.0)
        assert 4 <= packets() <= 9  # of 140
        assert {record.kind for record in records} <= {Kind.PACKET, Kind.SEAM}
        for thin in (False, True, False):
            feeder.thin(thin)
        records.clear()
        wait(lambda: packets() > 30, 20)
        kinds = [record.kind for record in records]
        assert kinds.count(Kind.WHOLE) == 2
        first = kinds.index(Kind.WHOLE)
        assert kinds[first : first + 2] == [Kind.WHOLE, Kind.WHOLE]
        assert Kind.RAW not in kinds[:first]
        assert Kind.RAW in kinds[first:]
    finally:
        feeder.forget()
        assert feeder.join(5)
        reader.close()
        writer.close()
        table.close()


def test_the_pace_is_that_of_the_file(clip):
    memory, doorbell = make_ring()
    writer, reader = RingWriter(os.dup(memory), os.dup(doorbell)), RingReader(memory, doorbell)
    table = HandlingTable(HandlingTable.make(1))
    feeder = Feeder(Open(1, "s", clip), table.claim("s"))
    began = time.monotonic()
    feeder.open(1, writer)
    kinds = []
    wait(lambda: kinds.extend(r.kind for r in reader.read()) or Kind.ENDED in kinds, 15)
    assert 3.5 < time.monotonic() - began < 6
    assert kinds.count(Kind.OPENED) == kinds.count(Kind.ENDED) == 1
    feeder.forget()
    assert feeder.join(5)
    reader.close()
    writer.close()
    table.close()


_CHANNEL = ["-re", "-stream_loop", "-1", "-i", "{clip}", "-c", "copy", "-f", "mpegts"]


@pytest.mark.slow
def test_a_live_transport_stream_is_read_in_the_other_process_with_its_bytes(clip):
    from media import ffmpeg_exe

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    url = f"udp://127.0.0.1:{port}"
    # The clip's own end and beginning are a fault of its counters, of which only the bytes below the demuxer tell.
    command = [ffmpeg_exe(), "-v", "error", *(part.format(clip=clip) for part in _CHANNEL), f"{url}?pkt_size=1316"]
    with live() as kit, subprocess.Popen(command, stdin=subprocess.DEVNULL) as sender:
        kit.take("live", url, {"stream.stall": {}, "stream.continuity": {}, "video.freeze": {}})
        kit.wait(lambda: kit.frames("live") > 50, 30)
        assert kit.state("live") == "running"
        sender.kill()
        kit.wait(lambda: ("live", "opened", "stream.stall", None) in kit.heard.incidents, 10)
        assert kit.heard.report("live").state in ("running", "stalled")
        kit.wait(lambda: kit.state("live") == "stalled", 30)  # a busy machine may have told another stall before
        assert "video.freeze" not in kit.found("live")


def test_how_a_process_ended_is_told_in_words():
    assert ending(3) == "exit code 3"
    assert ending(-11) == "SIGSEGV"
    assert ending(-250) == "signal 250"
