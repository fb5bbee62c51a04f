"""Examples of each command: its help shows them, docs/cli.md has them, and a test takes every one of them apart."""

from collections.abc import Mapping
from typing import Final

EXAMPLES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "check": (
        ("avjury check clip.mp4 --report page.html", "one self-contained page"),
        ("avjury check rtsp://camera/1 --detectors 'video.*,-video.blur'", "a live address, pictures only"),
        ("avjury check *.ts --format jsonl --fail-on warning", "for programs; exit code 1 from a warning on"),
    ),
    "detectors": (("avjury detectors --format json", "with parameters, defaults and bounds"),),
    "slate": (("avjury slate back-soon.png", "its hash, for a configuration's slates"),),
    "doctor": (("avjury doctor", "what would fall back, and why"),),
    "notify test": (("avjury notify test pager --config streams.yaml", "a marked message through one sink"),),
    "query": (
        ("avjury query availability --since 7d", "by stream and day"),
        ("avjury query --sql 'SELECT stream, count(*) FROM seconds GROUP BY stream'", "a query of your own"),
    ),
    "demo": (("avjury demo --output demo-out", "a clip with planted defects, judged"),),
    "selftest": (
        ("avjury selftest", "a few defects of each kind"),
        ("avjury selftest --full --format json", "all of them, for programs"),
    ),
    "tune": (
        ("avjury tune good.ts --false-per-day 1 --output tuned.yaml", "thresholds for one false alarm a day"),
        ("avjury tune *.ts --detectors 'video.*' --format json", "the evidence for programs"),
    ),
    "shadow": (("avjury shadow --data avjury-data", "what the profile that is tried would change"),),
    "serve": (
        ("avjury serve --demo", "three channels made here, for a first look"),
        ("avjury serve --config streams.yaml --listen 0.0.0.0:8080", "yours"),
    ),
    "cluster serve": (("avjury cluster serve --config streams.yaml", "in front of the Ray cluster of this machine"),),
    "cluster status": (("avjury cluster status --config streams.yaml", "its engines, and what they judge"),),
    "cluster drain": (
        ("avjury cluster drain engine-2 --config streams.yaml", "have its streams go elsewhere, and wait"),
        ("avjury cluster drain --node 5f2c --config streams.yaml", "of all engines of a node, by the start of its id"),
    ),
    "cluster undrain": (("avjury cluster undrain engine-2 --config streams.yaml", "let it have streams again"),),
    "cluster down": (("avjury cluster down --config streams.yaml", "end all engines, in order"),),
    "train": (
        (
            "avjury train artifact --media clips --work work --weights artifact.safetensors --minutes 60",
            "on clips of your own",
        ),
        (
            "avjury train history --media clips --work work --weights history.safetensors",
            "what judges by the pictures before",
        ),
        ("avjury train audio --media clips --work work --weights audio.safetensors --minutes 60", "the same of sound"),
    ),
    "bench": (("avjury bench cpu", "speed and memory of this machine"),),
    "plan": (("avjury plan --codec hevc --size 1280x720", "streams per instance"),),
}


def epilog(command: str) -> str:
    """The examples as the end of a command's help: one paragraph each."""
    return "Examples:\n\n" + "\n\n".join(f"{line}   # {what}" for line, what in EXAMPLES[command])
