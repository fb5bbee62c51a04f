"""The notifier over a PostgreSQL server that goes away, and two services that share one."""

import servers
from receivers import Receiver

from engine.incidents import incident_id
from engine.notify.notifier import Notifier
from engine.settings.notify import NotifySection
from engine.store.sql import Store
from engine.verdicts import Incident, Severity


def black(stream):
    name = "video.black"
    return Incident(incident_id(stream, name, 1.0), stream, name, Severity.CRITICAL, 1.0, 1.0)


def test_a_restart_of_the_server_is_waited_for_and_nothing_is_lost(service, caplog):
    with servers.postgres() as server, Receiver() as receiver:
        service._url = server.database()
        service.start({"sinks": {"hook": {"type": "webhook", "url": receiver.url}}, "routes": [{"sinks": ["hook"]}]})
        service.open("a")
        receiver.wait_for(1)
        server.kill()
        servers.eventually(lambda: "wait for the database" in caplog.text, 20)
        server.start()
        service.open("b")
        receiver.wait_for(2)
        assert service.settled() == {("hook", "delivered"): 2}
        service.stop()
    assert "go on: the database is there again" in caplog.text


def test_two_services_share_the_work_and_send_nothing_twice():
    with servers.postgres() as server, Receiver() as receiver:
        url = server.database()
        section = NotifySection.model_validate(
            {"sinks": {"hook": {"type": "webhook", "url": receiver.url}}, "routes": [{"sinks": ["hook"]}]}
        )
        notifiers = [Notifier(section, damping_seconds=0.0) for _ in range(2)]
        stores = [Store(url, route=notifier.route, damping_seconds=0.0) for notifier in notifiers]
        for notifier, store in zip(notifiers, stores, strict=True):
            notifier.start(store)
        for number in range(40):
            stores[number % 2].incidents.record(black(f"s{number}"), "opened")
        receiver.wait_for(40)
        servers.eventually(lambda: stores[0].outbox.counts() == {("hook", "delivered"): 40}, 20)
        for notifier, store in zip(notifiers, stores, strict=True):
            assert notifier.stop(15.0) == []
            store.close()
    assert sorted(body["stream"] for body in receiver.bodies) == sorted(f"s{number}" for number in range(40))
