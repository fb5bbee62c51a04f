"""Secrets are planted wherever a configuration and the API take them, and looked for in everything that comes out."""

import contextlib
import re
import signal
import subprocess
from pathlib import Path

import httpx
import psutil
import pytest
from origin import Origin
from running_service import wait_until
from senders import free_port
from service_process import ENVIRONMENT, ROOT, SECRET, Process, black

PASSWORD, QUERY, SIGNED = "planted-password-1", "planted-query-value-2", "planted-signature-3"
PLANTED = {
    "a stream's password": PASSWORD,
    "a stream's query": QUERY,
    "a stream's signature": SIGNED,
    "the admin's token": SECRET,
    "a viewer's token": "planted-viewer-token-4",
    "a webhook's secret": "cGxhbnRlZC13ZWJob29rLXNlY3JldC01",
    "a webhook's address": "planted-webhook-path-6",
    "a header": "planted-header-7",
    "a chat's password": "planted-chat-8",
    "a broker's password": "planted-broker-9",
    "an object store's key": "planted-object-key-10",
    "a stream's password, of the API": "planted-api-password-11",
}


def config(origin, clip, closed):
    return f"""
auth:
  token: {SECRET}
  tokens: [{{name: eve, role: viewer, token: {PLANTED["a viewer's token"]}}}]
service: {{log_format: json, api_private_addresses: true, log_level: debug, damping_seconds: 0}}
storage:
  verdicts: s3://bucket/verdicts
  flush_seconds: 1
  options: {{endpoint: "http://127.0.0.1:{closed}", region: us-east-1, access_key_id: planted-id, allow_http: "true",
            secret_access_key: {PLANTED["an object store's key"]}}}
detectors: {{"*": false, video.black: true, stream.stall: {{duration: 1}}}}
notify:
  sinks:
    hook: {{type: webhook, url: "http://user:{PASSWORD}@127.0.0.1:{closed}/x?token={PLANTED["a webhook's address"]}",
           secrets: [whsec_{PLANTED["a webhook's secret"]}], headers: {{X-Key: {PLANTED["a header"]}}}}}
    chat: {{type: apprise, url: "json://user:{PLANTED["a chat's password"]}@127.0.0.1:{closed}/"}}
    broker: {{type: mqtt, host: 127.0.0.1, port: {closed}, user: me, password: {PLANTED["a broker's password"]}}}
  routes: [{{sinks: [hook, chat, broker]}}]
streams:
  - {{id: dark, url: {clip}, loop: true}}
  - {{id: refused, url: "http://user:{PASSWORD}@127.0.0.1:{closed}/x.m3u8?token={QUERY}&Signature={SIGNED}"}}
  - {{id: missing, url: "{origin.url.replace("//", f"//user:{PASSWORD}@")}/no.ts?hdnea={QUERY}"}}
  - {{id: page, url: "{origin.url}/page.m3u8?access_key={QUERY}"}}
  - {{id: rtsp, url: "rtsp://user:{PASSWORD}@127.0.0.1:{closed}/live?token={QUERY}"}}
  - {{id: rtmp, url: "rtmp://127.0.0.1:{closed}/live/one?auth={SIGNED}"}}
  - {{id: srt, url: "srt://127.0.0.1:{closed}?mode=caller&passphrase={PASSWORD}"}}
"""


def found_in(text):
    return {name for name, secret in PLANTED.items() if secret in text}


def answers(service):
    """What every GET of the API's own document answers, and the pages."""
    document = service.get("/openapi.json").json()
    incident = service.incidents()[0]["id"]
    for path, operations in document["paths"].items():
        if "get" not in operations or path.endswith("/events"):
            continue
        for stream in ("refused", "missing", "dark", "added") if "{stream_id}" in path else ("",):
            address = path.replace("{stream_id}", stream).replace("{incident_id}", incident)
            yield path, service.get(re.sub(r"\{\w+\}", "none", address)).content.decode(errors="replace")
    for path in ("/", "/docs", "/openapi.json"):
        yield path, service.get(path).text
    headers = {"Authorization": f"Bearer {SECRET}"}
    with (
        contextlib.suppress(httpx.ReadTimeout),
        httpx.stream("GET", f"{service.url}/api/v1/events?after=0", headers=headers, timeout=2) as events,
    ):
        for line in events.iter_lines():
            yield "/api/v1/events", line


@pytest.mark.slow
def test_no_secret_comes_out_of_a_running_service(tmp_path):
    clip = black(tmp_path / "black.mp4", 6)
    page = {"/page.m3u8": lambda: (200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><html>log in</html>")}
    with Origin(tmp_path, page) as origin:
        service = Process(tmp_path, config(origin, clip, free_port()), real=True)
        try:
            service.start()
            added = {
                "id": "added",
                "url": f"http://me:{PLANTED['a stream' + chr(39) + 's password, of the API']}@127.0.0.1:9/x.ts",
            }
            headers = {"Authorization": f"Bearer {SECRET}"}
            made = httpx.post(f"{service.url}/api/v1/streams", json=added, headers=headers, timeout=20)
            assert made.status_code == 201, made.text
            refused = httpx.post(f"{service.url}/api/v1/streams/probe", json=added | {"id": None}, headers=headers)
            stalled = {"refused", "missing", "page", "rtsp", "rtmp", "added"}
            wait_until(lambda: stalled <= {one["stream"] for one in service.incidents(detector="stream.stall")}, 240)
            wait_until(lambda: service.incidents(stream="dark"), 240)
            wrong = httpx.get(f"{service.url}/api/v1/streams", headers={"Authorization": "Bearer planted-guess"})
            shown = [("made", made.text), ("probe", refused.text), ("wrong token", wrong.text), *answers(service)]
            assert len({path for path, _ in shown}) > 20
            commands = [
                " ".join(child.cmdline()) for child in [psutil.Process(service.process.pid), *service.children()]
            ]
            assert len(commands) >= 3
            # What a crash leaves in the log, and a configuration that is wrong.
            reader = next(child for child in service.children() if "engine.ingest.process" in child.cmdline())
            reader.send_signal(signal.SIGSEGV)
            service.config.write_text(service.config.read_text() + "nonsense: 1\n")
            service.process.send_signal(signal.SIGHUP)
            wait_until(lambda: "nonsense" in service.lines() and "SIGSEGV" in service.lines(), 60)
            code, _ = service.kill(signal.SIGTERM)
            assert code == 0, service.lines()
        finally:
            service.end()
    assert {path: found for path, text in shown if (found := found_in(text))} == {}
    assert [found_in(command) for command in commands if found_in(command)] == []
    assert {line for line in service.lines().splitlines() if found_in(line)} == set()
    assert "refused" in service.lines()


def test_a_database_that_is_not_there_is_told_without_its_password(tmp_path):
    secret = "planted-database-password"
    (tmp_path / "config.yaml").write_text(
        f"storage: {{database: 'postgresql://me:{secret}@127.0.0.1:{free_port()}/avjury'}}\n"
    )
    command = Process(tmp_path, (tmp_path / "config.yaml").read_text(), real=True).command("127.0.0.1:0")
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=ENVIRONMENT, timeout=120)
    assert done.returncode != 0
    assert "postgresql://" in done.stderr
    assert secret not in done.stdout + done.stderr
    assert not Path(tmp_path / "data" / "avjury.db").exists()
