"""Reports incidents to a database until it is killed: `writer.py URL COUNT`; says what the store has taken."""

import sys

from engine.incidents import incident_id
from engine.store.records import Delivery
from engine.store.sql import Store
from engine.verdicts import Incident, Severity


def route(record, change):
    return [] if change == "updated" else [Delivery("hook")]


def main(url, count):
    store = Store(url, route=route, damping_seconds=0.0)
    for number in range(count):
        name, start = "video.black", float(100 * number)
        incident = Incident(incident_id("s", name, start), "s", name, Severity.CRITICAL, start, 1.0)
        store.incidents.record(incident, "opened", at=start)
        print("opened", number, flush=True)  # noqa: T201 - the parent reads it
        incident.end, incident.closed_by = start + 10, "recovered"
        store.incidents.record(incident, "closed", at=start + 10)
        print("closed", number, flush=True)  # noqa: T201
    store.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
