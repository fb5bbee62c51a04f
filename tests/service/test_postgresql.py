"""The service on a PostgreSQL server that goes away and comes back."""

import servers
from running_service import running, scraped, wait_until


def test_reports_wait_for_the_server_and_are_kept_in_order(tmp_path):
    with servers.postgres() as server:
        config = f"storage: {{database: '{server.database()}'}}\nstreams: [{{id: a, url: a.ts, labels: {{x: y}}}}]"
        with running(tmp_path, config) as service, service.client() as client:
            service.fleet.report("a", "opened", start=1.0)
            wait_until(lambda: client.get("/api/v1/incidents").json()["items"])
            server.stop()
            service.fleet.report("a", "closed", start=1.0)
            service.fleet.report("a", "opened", detector="video.freeze", start=7.0)
            wait_until(lambda: client.get("/readyz").status_code == 503, 30)
            assert client.get("/healthz").status_code == 200
            refused = client.get("/api/v1/incidents")
            assert refused.status_code == 503
            assert "retry-after" in refused.headers
            assert client.get("/api/v1/streams/a").status_code == 200  # what is wanted is known without it
            assert scraped(service)["avjury_part_ready", "part=database"] == 0
            server.start()
            wait_until(lambda: client.get("/readyz").status_code == 200, 30)
            wait_until(lambda: scraped(service)[("avjury_recorder_backlog",)] == 0, 30)
            items = client.get("/api/v1/incidents").json()["items"]
            assert [(item["detector"], item["state"]) for item in items] == [
                ("video.freeze", "open"),
                ("video.black", "closed"),
            ]
            assert items[0]["labels"] == {"x": "y"}
            page = f"/api/v1/incidents/{items[0]['id']}"
            assert client.post(f"{page}/comments", json={"text": "seen"}).status_code == 201
            assert client.post(f"{page}/mute").json()["muted"]
            assert not client.post(f"{page}/unmute").json()["muted"]
            listed = client.get("/api/v1/incidents", params={"text": "SEEN", "label": "x=y"}).json()["items"]
            assert [item["id"] for item in listed] == [items[0]["id"]]
        with running(tmp_path, config) as service:
            assert service.parts.open_incidents.by_stream() == {"a": 1}
