"""An address is looked at once, in a process of its own."""

import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import made_clips
import pytest
from running_service import running

from engine.errors import SourceError
from engine.service.probe import Prober


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    folder = tmp_path_factory.mktemp("origin")
    (folder / "clip.ts").write_bytes(made_clips.make("probed.ts").read_bytes())
    (folder / "page.html").write_text("<html>no media</html>")
    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *args: Quiet(*args, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(10)
    server.server_close()


@pytest.mark.slow
def test_the_api_says_what_an_address_holds(origin, tmp_path):
    with running(tmp_path, "service: {api_private_addresses: true}") as service, service.client() as client:
        client.timeout = 60
        found = client.post("/api/v1/streams/probe", json={"url": f"{origin}/clip.ts"})
        assert found.status_code == 200
        told = found.json()
        assert (told["container"], told["video"]["codec"], told["video"]["width"]) == ("mpegts", "mpeg4", 160)
        assert told["audio"]["sample_rate"] == 48_000
        secret = client.post("/api/v1/streams/probe", json={"url": f"{origin}/none.ts?token=0123456789abcdef"})
        assert secret.status_code == 422
        assert "404" in secret.json()["error"]["why"]
        assert "0123456789abcdef" not in secret.text
        page = client.post("/api/v1/streams/probe", json={"url": f"{origin}/page.html"})
        assert page.status_code == 422


@pytest.mark.slow
def test_what_hangs_is_ended(monkeypatch):
    monkeypatch.setattr("engine.service.probe.LIMIT_SECONDS", 0.5)
    with pytest.raises(SourceError, match=r"within 0\.5 s"):
        Prober().probe("http://127.0.0.1:9/x", private_addresses=True)
