"""Sends what a database's outbox holds until it is killed: `dispatcher.py DATABASE RECEIVER SECRET TOGETHER`."""

import sys
import time

from engine.notify.notifier import Notifier
from engine.settings.notify import NotifySection
from engine.store.sql import Store


def main(database, receiver, secret, together):
    sink = {"type": "webhook", "url": receiver, "secrets": [secret], "timeout_seconds": 1}
    sink["changes_per_message"] = int(together)
    section = NotifySection.model_validate({"sinks": {"hook": sink}, "routes": [{"sinks": ["hook"]}]})
    notifier = Notifier(section, lease_seconds=1.0)
    notifier.start(Store(database, route=notifier.route))
    print("ready", flush=True)  # noqa: T201 - the parent reads it
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main(*sys.argv[1:])
