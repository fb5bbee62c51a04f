"""Every command in the documentation's code is run as it stands there, or is an exception with a reason."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from live_kit import encode
from PIL import Image
from programs import program
from receivers import Receiver
from running_service import wait_until

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# What a line begins with that somebody would type.
TYPED = re.compile(r"(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?(avjury|make|docker|kubectl|pip|curl|ffmpeg|cp|python)\b")
# Placeholders of the pages, and addresses that are not here; the rest of the command stays as it is written.
STANDS_FOR = {
    "INPUT...": "clip.ts",
    "rtsp://camera/1": "clip.ts",
    "--evidence DIR": "--evidence evidence",
    "$TOKEN": "a-token",
}
# Not run, and why not. A command that is in no page any more is an error here.
EXCEPTIONS = {
    "docker build -t avjury:cpu .": "no engine of containers here; tests/deploy does what can be done without",
    "docker build -f Dockerfile.gpu -t avjury:gpu .": "the same",
    "docker run --read-only": "the same; one long test of tests/deploy runs the image's command in such a root",
    "AVJURY_TOKEN=... GRAFANA_PASSWORD=... docker compose -f deploy/compose.yaml up --build": "the same",
    "AVJURY_TOKEN=... GRAFANA_PASSWORD=... docker compose -f deploy/compose.yaml -f deploy/compose.gpu.yaml up --build":
        "the same; `config` is run",
    "kubectl apply -k deploy/kubernetes/base": "no cluster here; Kubernetes' own schemas judge the manifests",
    "pip install ./docs/example_detector": "tests/docs/test_example_detector.py does it, in a place of its own",
    "avjury detectors | grep night": "the same",
    "avjury check recording.mp4 --detectors 'night.*,video.black'": "the same",
    "pip install ./docs/example_source": "tests/docs/test_example_source.py does it",
    "avjury check unix:/run/encoder.sock": "the same",
    "avjury bench cpu": "measures for half an hour",
    "avjury bench network": "needs an hour and clips of damage; tests/benchmarks/test_network_points.py runs it small",
    "avjury train artifact": "trains for hours; tests/models train a small one",
    "avjury train audio": "the same",
    "avjury train history": "the same",
    "avjury selftest --full": "plants everything there is, for minutes; tests/engine/test_selftest.py has its cases",
    'pip install "avjury[cluster]"': "the tests' own set-up installs it from this tree",
    "avjury cluster": "needs a Ray cluster and PostgreSQL; tests/cluster/test_on_ray.py runs it on both",
    "avjury serve --demo": "makes its channels for a minute; tests/engine/test_demo_channels.py does it in small",
}  # fmt: skip
SETTINGS = """
auth: {{token: a-token}}
notify:
  sinks: {{pager: {{type: webhook, url: "{url}", secrets: [whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=]}}}}
  routes: [{{sinks: [pager]}}]
profiles: {{stricter: {{detectors: {{video.black: {{black_min_duration: 1s}}}}}}}}
shadow: {{profile: stricter}}
streams: [{{id: channel-1, url: "{clip}", loop: true}}]
"""
pytestmark = pytest.mark.slow


def typed(text):
    """The commands in code of a page; not those of synopses, which show what may be written."""
    found, fenced = [], False
    for line in text.replace("\\\n", "").splitlines():
        if re.match(r"\s*```", line):
            fenced = not fenced
        elif (fenced or line.startswith("    ")) and TYPED.match(line.strip()):
            command = re.split(r"\s+#", line.strip())[0].removeprefix("$ ").replace(".venv/bin/", "")
            if not re.search(r"\[OPTIONS\]|\[--|\bIMAGE\.\.\.|\bbench NAME", command):
                found.append(re.sub(r"\s+", " ", command))
    return found


COMMANDS = sorted({(page.name, command) for page in PAGES for command in typed(page.read_text(encoding="utf-8"))})
LIVE = [(page, command) for page, command in COMMANDS if command.startswith(("avjury serve --config", "curl "))]


def excepted(command):
    return next((begins for begins in EXCEPTIONS if command.startswith(begins)), None)


RUN = [one for one in COMMANDS if not excepted(one[1]) and one not in LIVE]


class Desk:
    """A folder as the reader of a page may have it, with avjury on its PATH.

    Args:
        folder: of its own.
        pager: address of a receiver.
    """

    def __init__(self, folder, pager):
        self.folder = folder
        shims = folder / "bin"
        shims.mkdir()
        (shims / "avjury").write_text(f'#!/bin/sh\nexec {sys.executable} -P -m engine.cli "$@"\n')
        (shims / "avjury").chmod(0o755)
        self.environment = {**os.environ, "PATH": f"{shims}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        first = encode(folder / "clip.mp4", 6)
        for name in ("clip.ts", "good.ts", "good-1.ts", "good-2.ts", "contribution.ts", "distribution.mp4"):
            subprocess.run([program("ffmpeg"), "-v", "error", "-i", first, "-c", "copy", folder / name], check=True,
                           timeout=60)  # fmt: skip
        Image.effect_noise((16, 9), 90).resize((640, 360)).save(folder / "back-soon.png")
        (folder / "streams.yaml").write_text(SETTINGS.format(url=pager, clip=folder / "clip.ts"))
        shutil.copytree(ROOT / "deploy", folder / "deploy")

    def run(self, command, limit_seconds=560):
        for written, stands in STANDS_FOR.items():
            command = command.replace(written, stands)
        # Make would set up an environment of its own: it says what it would do.
        command = re.sub(r"^make ", f"make -n -C {ROOT} ", command)
        return subprocess.run(["bash", "-c", command], cwd=self.folder, env=self.environment, capture_output=True,
                              text=True, timeout=limit_seconds, check=False)  # fmt: skip


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Where the service has already run for a while, so that there is something to be asked for."""
    with Receiver() as pager:
        desk = Desk(tmp_path_factory.mktemp("desk"), pager.url)
        served = {command for _, command in LIVE if command.startswith("avjury serve")}
        (command,) = {re.sub(r" --listen \S+", "", command) for command in served}
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        desk.answers = {}
        with (desk.folder / "log").open("w") as log:
            process = subprocess.Popen(["bash", "-c", f"exec {command} --listen {address}"], cwd=desk.folder,
                                       stderr=log, env=desk.environment)  # fmt: skip
            try:

                def judged():
                    assert process.poll() is None, (desk.folder / "log").read_text()
                    try:
                        told = httpx.get(f"http://{address}/api/v1/streams/channel-1/seconds?since=0",
                                         headers={"Authorization": "Bearer a-token"}, timeout=5)  # fmt: skip
                        return told.status_code == 200 and len(told.json()["items"]) > 3
                    except httpx.HTTPError:
                        return False

                wait_until(judged, 300)
                for _, asked in LIVE:
                    if asked.startswith("curl "):
                        asked = asked.replace("curl ", "curl -sf ")
                        desk.answers[asked] = desk.run(asked.replace("127.0.0.1:8080", address))
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0
            finally:
                process.kill()
                process.wait(10)
        yield desk


def test_there_are_as_many_commands_as_there_were_and_every_exception_is_one():
    assert len(RUN) >= 35
    assert {excepted(command) for _, command in COMMANDS} - {None} == set(EXCEPTIONS)


def test_the_service_runs_and_is_asked_as_it_is_written(desk):
    assert desk.answers
    for asked, done in desk.answers.items():
        assert done.returncode == 0, asked
        assert '"items"' in done.stdout


@pytest.mark.timeout(600)
@pytest.mark.parametrize("command", sorted({command for _, command in RUN}))
def test_a_written_command_does_what_it_says(desk, command):
    done = desk.run(command)
    # What judges says 1 where something is wrong with what was judged, or is not proven; nothing is wrongly used.
    judges = re.match(r"avjury (check|tune|doctor)\b", command)
    assert done.returncode in ((0, 1) if judges else (0,)), (
        f"{done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    )
    assert "Traceback" not in done.stderr
    if command.startswith("avjury "):
        assert done.stdout.strip() or "--output" in command, command
