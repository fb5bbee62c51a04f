"""From a report to whom the configuration names, through the real notifier; and other receivers after a reload."""

from receivers import Receiver
from running_service import running, scraped, wait_until

from engine.notify.notifier import Notifier
from engine.settings.notify import NotifySection


def section(**sinks):
    """Everything to each sink, at once."""
    sinks = {name: {"type": "webhook", "url": receiver.url} for name, receiver in sinks.items()}
    return {"sinks": sinks, "routes": [{"sinks": list(sinks), "closed_hold_seconds": 0}]}


def test_who_is_told_changes_with_the_configuration_and_windows_keep_it_quiet(tmp_path):
    with Receiver() as first, Receiver() as second:
        told = section(first=first)
        config = (
            f"notify: {told}\nservice: {{damping_seconds: 0}}\nstreams: [{{id: a, url: a.ts}}, {{id: b, url: b.ts}}]\n"
        )
        notifier = Notifier(NotifySection.model_validate(told), damping_seconds=0.0)
        with running(tmp_path, config, notifier=notifier) as service, service.client() as client:
            for change in ("opened", "closed"):
                service.fleet.report("a", change)
            first.wait_for(2)
            assert [(body["change"], body["stream"]) for body in first.bodies] == [("opened", "a"), ("closed", "a")]
            assert scraped(service)["avjury_notifications_total", "outcome=delivered", "sink=first"] == 2
            assert scraped(service)["avjury_notification_latency_seconds_count", "sink=first"] == 1

            service.path.write_text(config.replace(str(told), str(section(second=second))))
            assert client.post("/api/v1/reload").json()["needs_restart"] == []
            service.fleet.report("b", "opened", detector="video.freeze")
            second.wait_for(1)
            assert second.bodies[0]["detector"] == "video.freeze"
            assert len(first.bodies) == 2

            # What begins in a window is told when the window ends before it does.
            window = client.post("/api/v1/streams/a/mute", json={"seconds": 600}).json()
            service.fleet.report("a", "opened", detector="audio.silence")
            [quiet] = wait_until(
                lambda: client.get("/api/v1/incidents", params={"detector": "audio.silence"}).json()["items"]
            )
            assert quiet["muted"]
            assert len(second.bodies) == 1
            client.delete(f"/api/v1/streams/a/maintenance/{window['id']}")
            second.wait_for(2)
            assert (second.bodies[1]["change"], second.bodies[1]["id"]) == ("opened", quiet["id"])

            # A section that is wrong changes nobody.
            broken = config.replace(str(told), "{sinks: {x: {type: pigeon}}}")
            service.path.write_text(broken)
            assert client.post("/api/v1/reload").status_code == 422
            service.fleet.report("b", "closed", detector="video.freeze")
            second.wait_for(3)
            assert second.bodies[2]["change"] == "closed"
