"""`avjury serve`: what the command does before the service runs."""

import subprocess
import sys
from pathlib import Path
from typing import Final

from engine.errors import ConfigError
from engine.service.supervisor import serve

DEMO_DATA: Final = Path("avjury-demo")
DEMO_LISTEN: Final = "127.0.0.1:8080"


def run(config: Path | None, data: Path | None, listen: str | None, demo: bool) -> None:
    """Run the service until a signal ends it.

    Args:
        config: the operator's file.
        data, listen: in place of what the file says.
        demo: with channels of our own, for a first look.
    Raises: ConfigError; StoreError.
    """
    if demo == (config is not None):
        raise ConfigError(
            "no configuration" if config is None else "two configurations",
            why="nothing says what is to be judged" if config is None else "--demo brings its own",
            remedy="avjury serve --config F, or avjury serve --demo for a first look",
        )
    if demo:
        data = data or DEMO_DATA
        listen = listen or DEMO_LISTEN
        config = _make_channels(data / "channels")
        _explain(f"http://{listen}")
    serve(config, data=data, listen=listen)


def _make_channels(folder: Path) -> Path:
    """The demo's configuration, its channels made where they are not there yet.

    Raises: ConfigError.
    """
    if not (folder / "demo.yaml").exists():
        _say(f"making three channels in {folder}, once; that takes half a minute ...")
    # A process of its own: this one never loads decoders.
    done = subprocess.run([sys.executable, "-m", "engine.demo_channels", str(folder)], capture_output=True, check=False)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ConfigError(
            "cannot make the demo's channels",
            stream=str(folder),
            why=said[-1] if said else f"it ended with {done.returncode}",
            remedy="name another folder (--data)",
        )
    return folder / "demo.yaml"


def _explain(url: str) -> None:
    _say(
        f"""
Three channels are judged; "sport" is black, frozen, silent and loud in turn, every 20 seconds. In a browser:

  {url}/                                             the channels, what is wrong, and since when

In another terminal:

  curl -s {url}/api/v1/streams                       the channels, and how they are
  curl -s '{url}/api/v1/incidents?state=open'        what is wrong now
  curl -s '{url}/api/v1/incidents?stream=sport'      what was wrong, the youngest first
  curl -N {url}/api/v1/events                        the same as it happens
  curl -s {url}/metrics | grep ^avjury_              for Prometheus
  {url}/docs                                         all that the API can do

The first start compiles the kernels, which takes a minute or two; until then the channels are "starting", and say so.
Control-C ends it.
"""
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
