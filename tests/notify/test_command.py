"""`avjury notify test` as its users run it."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

from receivers import Receiver, verify
from servers import free_port

ROOT = Path(__file__).parents[2]
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


def avjury(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "engine.cli", "notify", "test", *map(str, arguments)], capture_output=True, text=True,
        timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip


def written(folder, **sinks):
    path = folder / "c.yaml"
    path.write_text(json.dumps({"notify": {"sinks": sinks, "routes": [{"sinks": list(sinks)[:1]}]}}))
    return path


def test_a_marked_message_goes_through_each_sink_and_the_answer_is_told(tmp_path):
    with Receiver() as receiver:
        config = written(tmp_path, ops={"type": "webhook", "url": receiver.url})
        done = avjury("--config", config, AVJURY_NOTIFY__SINKS__OPS__SECRETS=f"['{SECRET}']")
        [(headers, body)] = receiver.taken
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ops: delivered in ")
    assert "HTTP 204" in done.stdout
    assert json.loads(body)["type"] == "test"
    assert verify(SECRET, headers, body)


def test_what_did_not_arrive_is_exit_code_1_and_the_others_are_still_tried(tmp_path):
    with Receiver() as receiver:
        config = written(
            tmp_path,
            gone={"type": "webhook", "url": f"http://127.0.0.1:{free_port()}/hunter2"},
            ops={"type": "webhook", "url": receiver.url},
        )
        both = avjury("--config", config)
        one = avjury("ops", "--config", config)
        assert len(receiver.taken) == 2
    assert (both.returncode, one.returncode) == (1, 0)
    failed, delivered = both.stdout.splitlines()
    assert failed.startswith("gone: failed: cannot connect")
    assert delivered.startswith("ops: delivered")
    assert both.stderr == "avjury: no route leads to: ops\n"
    assert "hunter2" not in both.stdout + both.stderr


def test_a_wrong_configuration_is_exit_code_2(tmp_path):
    config = written(tmp_path, ops={"type": "webhook", "url": "http://127.0.0.1/"})
    wrong = avjury("opps", "--config", config)
    assert wrong.returncode == 2
    assert "no such sink: notify.sinks does not have it; sinks: ops" in wrong.stderr
    assert avjury().returncode == 2
    library = written(tmp_path, chat={"type": "apprise", "url": "nonsense://hunter2"})
    refused = avjury("--config", library)
    assert refused.returncode == 2
    assert "does not know" in refused.stdout
    assert "hunter2" not in refused.stdout + refused.stderr
