"""The state machine: one execution per stream-second, every state entered written down before it is acted upon.

Standard workflows of AWS Step Functions are billed per state entered, each branch of a parallel state included; a state
that only ends an execution is not counted, as a state can end it itself.
"""

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

STATES: Final = ("Convert", "Detect", "Aggregate", "Changed", "Notify")
_SCHEMA: Final = """
CREATE TABLE execution (id TEXT PRIMARY KEY, state TEXT NOT NULL, input TEXT NOT NULL, ended INTEGER NOT NULL);
CREATE TABLE history (execution TEXT NOT NULL, number INTEGER NOT NULL, state TEXT NOT NULL, input TEXT NOT NULL,
                      PRIMARY KEY (execution, number)) WITHOUT ROWID;
"""


class StateMachine:
    """Executions in a SQLite database.

    Args:
        path: of a new database.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.executescript(_SCHEMA)
        self.transitions = 0
        self.bytes = 0

    def start(self, execution: str, state: str, given: Mapping[str, Any]) -> None:
        """Begin an execution in its first state."""
        self._database.execute("INSERT INTO execution VALUES (?, ?, '', 0)", (execution, state))
        self.enter(execution, state, given)

    def enter(self, execution: str, state: str, given: Mapping[str, Any]) -> None:
        """An execution enters a state, or a branch of a parallel one, with this input."""
        text = json.dumps(given)
        self._database.execute("BEGIN")
        self._database.execute("UPDATE execution SET state = ?, input = ? WHERE id = ?", (state, text, execution))
        self._database.execute(
            "INSERT INTO history SELECT ?, COUNT(*), ?, ? FROM history WHERE execution = ?",
            (execution, state, text, execution),
        )
        self._database.execute("COMMIT")
        self.transitions += 1
        self.bytes += len(text)

    def end(self, execution: str) -> None:
        """An execution is over; its history stays, its inputs are not needed any more."""
        self._database.execute("UPDATE execution SET ended = 1, input = '' WHERE id = ?", (execution,))

    def states(self, execution: str) -> list[str]:
        """The states that an execution has entered, in order."""
        rows = self._database.execute("SELECT state FROM history WHERE execution = ? ORDER BY number", (execution,))
        return [state for (state,) in rows]

    def unfinished(self) -> int:
        """Executions that are not over."""
        (count,) = self._database.execute("SELECT COUNT(*) FROM execution WHERE ended = 0").fetchone()
        return int(count)

    def close(self) -> None:
        """Close the database."""
        self._database.close()
