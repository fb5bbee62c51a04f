"""The command as its users run it: exit codes, one-line errors, records, and the interrupt."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from media import ffmpeg_exe


def avjury(*arguments, cwd=None):
    command = [sys.executable, "-m", "engine.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd, env=environment())


def environment():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return {**os.environ, "PYTHONPATH": root}


def make(path, *arguments):
    subprocess.run([ffmpeg_exe(), "-y", "-v", "error", *arguments, str(path)], check=True, timeout=60)
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    pattern = ["-f", "lavfi", "-t", "4", "-i", "mandelbrot=s=320x180:r=25"]
    # Brown: white noise would be one, audio.noise.
    noise = ["-f", "lavfi", "-i", "anoisesrc=d=4:a=0.1:r=48000:seed=4:c=brown"]
    x264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    black = ["-f", "lavfi", "-i", "color=black:s=320x180:r=25:d=4"]
    whole = make(folder / "whole.mp4", *pattern, *noise, *x264, "-c:a", "aac")
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("this is a page of text, and no media at all\n" * 20)
    (folder / "truncated.mp4").write_bytes(whole.read_bytes()[:60_000])
    transport = make(folder / "transport.ts", *pattern, *noise, *x264, "-c:a", "aac")
    (folder / "cut.ts").write_bytes(transport.read_bytes()[: transport.stat().st_size // 2])
    (folder / "secret.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
    )
    make(folder / "black.mp4", *black, *noise, *x264, "-c:a", "aac")
    minute = [part.replace("d=4", "d=60") for part in (*black, *noise)]
    make(folder / "long-black.mp4", *minute, *x264, "-c:a", "aac")
    make(folder / "sound.wav", *noise)
    make(folder / "silent-film.mp4", *pattern, *x264)
    return folder


def records(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_good_clip_is_clean_and_summed_up(clips):
    done = avjury("check", clips / "whole.mp4", "--format", "jsonl", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    [summary] = records(done)
    assert (summary["type"], summary["frames_decoded"], summary["frames_measured"]) == ("summary", 100, 100)
    assert (summary["decoder"], summary["device"]) == ("software", "cpu")
    assert summary["duration"] == pytest.approx(4.0, abs=0.05)
    assert done.stderr == ""


def test_a_critical_incident_is_a_record_and_exit_code_1(clips):
    done = avjury("check", clips / "black.mp4", "--format", "jsonl")
    assert done.returncode == 1
    incident, summary = records(done)
    assert (incident["type"], incident["detector"], incident["severity"]) == ("incident", "video.black", "critical")
    assert (incident["start"], incident["end"], incident["duration"]) == (0.0, 4.0, 4.0)
    assert incident["closed_by"] == "end_of_stream"
    assert summary["type"] == "summary"
    assert avjury("check", clips / "black.mp4", "--fail-on", "never").returncode == 0


@pytest.mark.parametrize("name", ["sound.wav", "silent-film.mp4"])
def test_an_input_with_one_kind_of_track_is_judged(clips, name):
    done = avjury("check", clips / name, "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    assert records(done)[-1]["type"] == "summary"


def test_a_truncated_transport_stream_is_judged_as_far_as_it_goes(clips):
    done = avjury("check", clips / "cut.ts", "--format", "jsonl")
    assert done.returncode in (0, 1)
    assert 20 < records(done)[-1]["frames_measured"] < 100


def test_a_bad_input_is_one_line_with_its_reason_and_exit_code_3(clips):
    done = avjury("check", clips / "missing.mp4")
    assert done.returncode == 3
    assert done.stderr.startswith("avjury: ")
    assert done.stderr.count("\n") == 1
    assert "file not found" in done.stderr
    assert ";" in done.stderr  # then the remedy


@pytest.fixture
def missing_page():
    """An address that answers with a 404."""

    class NotThere(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(404)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), NotThere)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/x.mp4"
    server.shutdown()
    thread.join(10)
    server.server_close()


def test_each_bad_input_is_a_line_of_its_own_with_its_reason(clips, missing_page):
    reasons = {
        "missing.mp4": "file not found",
        "": "it is a directory",
        "empty.mp4": "empty file",
        "text.mp4": "a text file",
        "truncated.mp4": "no moov box",
        "secret.m3u8": "file:///etc/passwd",
        "http://127.0.0.1:1/x.ts": "connection refused",
        missing_page: "HTTP 404",
    }
    inputs = {name if "://" in name else str(clips / name): reason for name, reason in reasons.items()}
    done = avjury("check", *inputs)
    assert done.returncode == 3
    told = done.stderr.splitlines()
    assert len(told) == len(inputs)
    for name, reason in inputs.items():
        [line] = [one for one in told if one.startswith(f"avjury: {name}: ")]
        assert reason in line
        assert ";" in line


def test_a_bad_input_among_good_ones_costs_only_itself(clips):
    done = avjury("check", clips / "empty.mp4", clips / "whole.mp4", "--format", "jsonl")
    assert done.returncode == 3
    assert [record["frames_measured"] for record in records(done)] == [100]


def test_the_same_input_twice_is_judged_twice_under_two_names(clips):
    done = avjury("check", clips / "whole.mp4", clips / "whole.mp4", "--format", "jsonl")
    assert done.returncode == 0
    assert {record["stream"] for record in records(done)} == {
        str(clips / "whole.mp4"),
        f"{clips / 'whole.mp4'}#2",
    }


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--detectors", "video.blck"), "video.black"),
        (("--config", "nothere.yaml"), "No such file"),
        (("--device", "tpu"), "auto, cpu, cuda or cuda:N"),
        (("--report", "/nonexistent/r.html"), "cannot write output"),
        (("--reference", "elsewhere.mp4"), "one of the inputs"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(clips, arguments, reason):
    done = avjury("check", clips / "whole.mp4", *arguments)
    assert done.returncode == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_training_refuses_a_file_that_could_run_code_and_a_folder_without_clips(tmp_path):
    for weights, reason in (("w.pt", "safetensors only"), ("w.safetensors", "no clip is in this folder")):
        given = ("--media", tmp_path, "--work", tmp_path / "w", "--weights", tmp_path / weights)
        done = avjury("train", "artifact", *given)
        assert done.returncode == 2
        assert reason in done.stderr
        assert "Traceback" not in done.stderr


def test_weights_of_ones_own_that_could_run_code_are_refused(clips, tmp_path):
    (tmp_path / "mine.safetensors").write_bytes(pickle.dumps({"weights": 1}))
    done = avjury("check", clips / "whole.mp4", "--weights", tmp_path / "mine.safetensors")
    assert done.returncode == 2
    assert "is a pickle, which could run any code" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_key_is_told_with_its_line(clips, tmp_path):
    (tmp_path / "c.yaml").write_text("engine:\n  devce: cpu\n")
    done = avjury("check", clips / "whole.mp4", "--config", tmp_path / "c.yaml")
    assert done.returncode == 2
    assert "engine.devce" in done.stderr
    assert "line 2" in done.stderr


def test_an_interrupt_still_prints_what_was_found(clips):
    command = [sys.executable, "-m", "engine.cli", "check", str(clips / "long-black.mp4"), "--realtime"]
    types = []
    for patience_seconds in (6, 15, 40):  # black needs 2 s of media to be one; a busy machine is slow to start
        process = subprocess.Popen(
            [*command, "--format", "jsonl"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment(),
        )  # fmt: skip
        time.sleep(patience_seconds)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        types = [json.loads(line)["type"] for line in out.splitlines()]
        if "incident" in types:
            break
    assert "Traceback" not in err
    assert types == ["incident", "summary"]


def test_the_table_of_detectors_lists_parameters_and_defaults():
    done = avjury("detectors", "--format", "jsonl")
    assert done.returncode == 0
    listed = {record["name"]: record for record in records(done)}
    freeze = {parameter["name"]: parameter["default"] for parameter in listed["video.freeze"]["parameters"]}
    assert freeze == {"noise": 0.001, "duration": 2.0}
    assert "video.freeze" in avjury("detectors").stdout


def test_a_report_is_one_page_that_loads_nothing(clips, tmp_path):
    page = tmp_path / "r.html"
    assert avjury("check", clips / "black.mp4", "--report", page).returncode == 1
    html = page.read_text()
    assert "video.black" in html
    assert "data:image/jpeg;base64," in html
    assert re.search(r'<(script|img|link|iframe)\b[^>]*\b(src|href)="(?!data:)', html) is None


def test_a_benchmark_tells_its_own_options_and_an_unknown_one_the_names():
    assert "--memory-seconds" in avjury("bench", "cpu", "--help").stdout
    assert "gpu-check" in avjury("bench").stdout
    unknown = avjury("bench", "nope")
    assert unknown.returncode == 2
    assert re.search(r"choose one of: .*\bcpu, ", unknown.stderr)


@pytest.mark.parametrize("arguments", [["--help"], ["check", "--help"], ["check", "--format", "xml", "x.mp4"]])
def test_help_and_a_mistyped_option_load_no_torch_and_no_decoder(arguments):
    script = (
        "import sys; from engine.cli import run; run(sys.argv[1:]); "
        "print([m for m in ('torch', 'numpy', 'numba', 'av', 'sqlalchemy', 'fastapi') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True, env=environment()
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("arguments", [(), ("--output", "/dev/full")])
def test_a_full_disk_is_one_line_and_exit_code_2(clips, arguments):
    command = [sys.executable, "-m", "engine.cli", "check", str(clips / "black.mp4"), "--format", "jsonl", *arguments]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == "avjury: cannot write output: No space left on device; make room for it\n"


def test_records_are_not_written_over_an_input(clips, tmp_path):
    copy = tmp_path / "copy.mp4"
    copy.write_bytes((clips / "black.mp4").read_bytes())
    long = "http://127.0.0.1:1/" + 5000 * "a"  # no file's name
    done = avjury("check", long, copy, "--output", copy)
    assert done.returncode == 2
    assert done.stderr == f"avjury: {copy}: cannot write output: it is an input; name another file\n"
    assert copy.read_bytes() == (clips / "black.mp4").read_bytes()
