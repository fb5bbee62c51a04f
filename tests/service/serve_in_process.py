"""`avjury serve` with a fleet in its own process, "engines" or "scripted": FLEET CONFIG DATA HOST:PORT."""

import sys
from pathlib import Path

from recent_seconds import RecentSeconds

from engine.errors import AvjuryError
from engine.service.makers import Makers
from engine.service.supervisor import serve


def made(fleet):
    if fleet == "engines":
        from engine_fleet import EngineFleet  # it loads torch, which takes a while

        return EngineFleet()
    from scripted_fleet import ScriptedFleet

    return ScriptedFleet()


def main(fleet, config, data, listen):
    verdicts = RecentSeconds()
    makers = Makers(lambda *_: made(fleet), lambda _: None, lambda *_: (verdicts, verdicts))
    try:
        serve(Path(config), data=Path(data), listen=listen, makers=makers)
    except AvjuryError as error:
        sys.exit(error.line())


if __name__ == "__main__":
    main(*sys.argv[1:])
