"""How busy the cores are that this process may use, whoever uses them.

An engine's own time says nothing of what reads its streams, nor of what else a machine does: room on it is room that
neither takes. What runs at a lower priority (nice) gives way, and does not count. Of what is taken, what the service's
own processes do not take is others'.
"""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

_STAT: Final = Path("/proc/stat")
# An engine that takes less than half of the machine's time is not what has to give way.
_MOST_TIMES: Final = 2.0
_FULL_SHARE: Final = 0.8


class MachineLoad:
    """Looked at once a second.

    Args:
        stat: what the kernel says of its cores; beside it is what it says of each process.
        cores: their numbers; None: those that this process may use.
    """

    def __init__(self, stat: Path = _STAT, cores: frozenset[int] | None = None) -> None:
        self._stat = stat
        self._service: dict[int, int] = {}
        self.others = 0.0
        """Share of the cores' time that programs took which are not the service's, up to the last look."""
        self._names = {f"cpu{core}" for core in (os.sched_getaffinity(0) if cores is None else cores)}
        self._before = self._ticks()

    def load(self, own: float, waiting: float = 0.0, service: Collection[int] = ()) -> float:
        """The share of their time since the last call for which the cores were busy, as far as that concerns an engine.

        Args:
            own: the share for which the engine was; the least of what is returned, and half of the most.
            waiting: the share for which it was, with what it waited for; counts while cores are free, as then it is no
                core that it waits for.
            service: numbers of the service's processes, by which `others` is known.
        """
        now = self._ticks()
        busy, taken, total = (mine - its for mine, its in zip(now, self._before, strict=True))
        self._before = now
        before, self._service = self._service, {pid: self._ticks_of(pid) for pid in service}
        # One that came since the last look took little in its first second.
        mine = sum(max(0, ticks - before.get(pid, ticks)) for pid, ticks in self._service.items())
        self.others = max(0.0, (busy - mine) / total) if total > 0 else 0.0
        if total <= 0 or taken / total < _FULL_SHARE:
            own = max(own, waiting)
        if total <= 0:
            return own
        return max(own, min(busy / total, _MOST_TIMES * own))

    def _ticks(self) -> tuple[int, int, int]:
        """Busy, busy or nice, and in all.

        Source: Linux, Documentation/filesystems/proc.rst, 1.7: user, nice, system, idle, iowait, irq, softirq, steal.
        """
        busy = taken = total = 0
        try:
            lines = self._stat.read_text(encoding="ascii").splitlines()
        except OSError:
            return 0, 0, 0
        for line in lines:
            name, *numbers = line.split()
            if name in self._names:
                user, nice, system, idle, waiting, *others = map(int, numbers[:8])
                mine = user + system + sum(others)
                busy, taken = busy + mine, taken + mine + nice
                total += user + nice + system + idle + waiting + sum(others)
        return busy, taken, total

    def _ticks_of(self, pid: int) -> int:
        """What a process took so far, in the same unit; 0 where it is gone.

        Source: Linux, Documentation/filesystems/proc.rst, table 1-4: utime and stime, behind a name in brackets.
        """
        try:
            fields = (self._stat.parent / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return 0
        return sum(map(int, fields.rpartition(")")[2].split()[11:13]))
