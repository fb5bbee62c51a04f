"""The last seconds of every stream, in memory, in the place of the store of verdicts."""

from dataclasses import asdict, dataclass
from typing import Any

from engine.store import cursor as cursors
from engine.store.records import Page


@dataclass(frozen=True)
class Row:
    second: Any
    session: str
    played_at: float

    def as_json(self):
        return {k: v for k, v in asdict(self.second).items() if k != "levels"} | {
            "session": self.session,
            "played_at": self.played_at,
        }


class RecentSeconds:
    """Both the sink and the reader."""

    def __init__(self):
        self.rows = []

    def start(self):
        """Nothing to start."""

    def put(self, second, session, at):
        self.rows.append(Row(second, session, at))
        return True

    def problem(self):
        return None

    def snapshot(self):
        return {"put_seconds": len(self.rows), "spool_bytes": 0}

    def stop(self, drain_seconds):
        return True

    def seconds(self, stream, *, since, until, limit, cursor):
        after = int(cursors.decode(cursor, (int,))[0]) if cursor else -1
        found = [
            (number, row)
            for number, row in enumerate(list(self.rows))
            if row.second.stream == stream
            and number > after
            and (since is None or row.played_at >= since)
            and (until is None or row.played_at < until)
        ]
        shown = found[:limit]
        return Page(tuple(row for _, row in shown), cursors.encode((shown[-1][0],)) if len(found) > limit else None)
