"""`avjury serve` with a fleet that judges nothing, for tests of the process around it: CONFIG DATA HOST:PORT."""

import sys
from pathlib import Path

from recent_seconds import RecentSeconds
from scripted_fleet import ScriptedFleet

from engine.errors import AvjuryError
from engine.service.makers import Makers
from engine.service.supervisor import serve


def main(config, data, listen):
    verdicts = RecentSeconds()
    makers = Makers(lambda *_: ScriptedFleet(), lambda _: None, lambda *_: (verdicts, verdicts))
    try:
        serve(Path(config), data=Path(data), listen=listen, makers=makers)
    except AvjuryError as error:
        sys.exit(error.line())


if __name__ == "__main__":
    main(*sys.argv[1:])
