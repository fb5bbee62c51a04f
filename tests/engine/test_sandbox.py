"""What an ingest process has given up, tried by real processes: programs, other files, writing, signals."""

import json
import os
import platform
import subprocess
import sys

import pytest

from engine.ingest import sandbox
from engine.landlock import version
from engine.seccomp import _program

LANDLOCK = pytest.mark.skipif(version() < 1, reason="this kernel has no Landlock")
# Confines itself as an ingest process does, and tries things: what came of each, as JSON.
TRIES = """
import json, os, signal, socket, ssl, sys, threading
from pathlib import Path
from engine.hardening import give_up_privileges
from engine.ingest.sandbox import paths_of, split_paths, system_devices, system_paths
source, elsewhere = sys.argv[1:]
readable, devices = split_paths(paths_of(source))
missing = give_up_privileges(4 << 30, [*system_paths(), *readable], [*system_devices(), *devices])
def outcome(attempt):
    try:
        attempt()
    except OSError as error:
        return type(error).__name__
    return "done"
tries = {
    "its source": lambda: open(source).close(),
    "its source, to write": lambda: open(source, "a").close(),
    "a file beside its source": lambda: open(os.path.dirname(source) + "/made", "w").close(),
    "another file": lambda: open(elsewhere).close(),
    "passwords": lambda: open("/etc/passwd").close(),
    "the parent's environment": lambda: open(f"/proc/{os.getppid()}/environ").close(),
    "a program": lambda: os.execv("/bin/true", ["true"]),
    "a process": os.fork,
    "a signal to its parent": lambda: os.kill(os.getppid(), 0),
    "a signal to itself": lambda: os.kill(os.getpid(), 0),
    "removing its source": lambda: os.remove(source),
    "names": lambda: socket.getaddrinfo("localhost", 80),
    "certificates": lambda: ssl.create_default_context(),
    "a thread": lambda: threading.Thread(target=lambda: None).start(),
}
found = {name: outcome(attempt) for name, attempt in tries.items()}
thread = threading.Thread(target=lambda: found.update({"passwords, by a thread": outcome(tries["passwords"])}))
thread.start(); thread.join()
import wave  # a module that was not loaded yet
print(json.dumps({"missing": missing, "found": found}))
"""


@LANDLOCK
@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="no list of system calls for it")
def test_a_confined_process_reads_its_sources_and_the_systems_files_and_does_nothing_else(tmp_path):
    (tmp_path / "channels").mkdir()
    source, elsewhere = tmp_path / "channels" / "clip.ts", tmp_path / "secret.yaml"
    source.write_bytes(b"media")
    elsewhere.write_text("token: hunter2")
    done = subprocess.run(
        [sys.executable, "-c", TRIES, str(source), str(elsewhere)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["missing"] == []
    refused = "PermissionError"
    outside = refused if version() >= 6 else "done"
    assert said["found"] == {
        "its source": "done",
        "its source, to write": refused,
        "a file beside its source": refused,
        "another file": refused,
        "passwords": refused,
        "the parent's environment": refused,
        "a program": refused,
        "a process": refused,
        "a signal to its parent": outside,
        "a signal to itself": "done",
        "removing its source": refused,
        "names": "done",
        "certificates": "done",
        "a thread": "done",
        "passwords, by a thread": refused,
    }
    assert source.read_bytes() == b"media"


def test_a_source_needs_its_folder_and_what_it_links_to(tmp_path):
    target = tmp_path / "disk" / "clip.ts"
    target.parent.mkdir()
    target.touch()
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "now.ts"
    link.symlink_to(target)
    assert sandbox.paths_of(str(link)) == {str(tmp_path / "links"), str(target.parent)}
    assert sandbox.paths_of(f"file://{target}") == {str(target.parent)}
    # Where the folder would be half of the machine, only the file.
    assert sandbox.paths_of("/etc/passwd") == {"/etc/passwd"}
    assert sandbox.paths_of("/clip.ts") == {"/clip.ts"}
    assert sandbox.paths_of("v4l2:/dev/video0?framerate=30") == {"/dev/video0"}
    assert sandbox.paths_of("alsa:hw:0") == {"/dev/snd"}
    for url in ("http://example.org/x.m3u8", "udp://239.0.0.1:5000", "srt://host:9000?mode=caller"):
        assert sandbox.paths_of(url) == frozenset()


def test_the_keys_of_servers_are_not_among_the_systems_files():
    assert not {"/etc", "/etc/ssl", "/etc/ssl/private", "/", "/proc", "/root", "/home", "/var", "/tmp"} & {
        str(path) for path in sandbox.system_paths()
    }


def _filtered(machine, architecture, call, argument):
    """What the filter answers, by the rules of BPF: jumps count from the next line."""
    data = {0: call, 4: architecture, 16: argument}
    at, value, lines = 0, 0, _program(machine)
    while True:
        code, true, false, constant = lines[at]
        at += 1
        if code == 0x20:
            value = data[constant]
        elif code == 0x06:
            return constant
        else:
            holds = {0x15: value == constant, 0x35: value >= constant, 0x45: bool(value & constant)}[code]
            at += true if holds else false


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_refuses_what_is_listed_and_lets_the_rest_pass(machine):
    own = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[machine]
    execve, read, clone = {"x86_64": (59, 0, 56), "aarch64": (221, 63, 220)}[machine]
    refused, allowed, missing = 0x00050001, 0x7FFF0000, 0x00050000 | 38
    assert _filtered(machine, own, execve, 0) == refused
    assert _filtered(machine, own, read, 0) == allowed
    assert _filtered(machine, own, clone, 0x00010000) == allowed
    assert _filtered(machine, own, clone, 17) == refused
    assert _filtered(machine, own, 435, 0) == missing
    for call in (425, 426, 427, 438):
        assert _filtered(machine, own, call, 0) == refused
    assert _filtered(machine, 0x40000003, read, 0) == refused  # another architecture's calls
    if machine == "x86_64":
        assert _filtered(machine, own, 0x40000000 | read, 0) == refused


def test_a_file_that_was_replaced_by_one_that_may_not_be_read_is_noticed(tmp_path, monkeypatch):
    names = tmp_path / "resolv.conf"
    names.write_text("nameserver 192.0.2.1")
    monkeypatch.setattr(sandbox, "_FILES", (str(names), str(tmp_path / "never there")))
    replaced = sandbox.Replaced()
    assert replaced.look() is None
    opens = sandbox.Replaced._opens
    monkeypatch.setattr(sandbox.Replaced, "_opens", staticmethod(lambda name: os.path.islink(name) and opens(name)))
    assert replaced.look() == str(names)
    names.unlink()
    assert replaced.look() is None
