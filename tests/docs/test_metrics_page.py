"""docs/metrics.md names every metric that a running service exports, with its own text.

AVJURY_WRITE_PAGES=1 writes the page.
"""

import os
from pathlib import Path

import pytest
from running_service import running

from engine.service import gpu_metrics
from engine.service.metrics import VERDICT_LEVELS
from engine.settings.storage import StorageSection
from engine.store.parquet import VerdictSettings, VerdictStore

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
CONFIG = "streams: [{id: news, url: news.ts}]\ncanary: {enabled: true, detectors: [stream.continuity]}"
HEAD = """\
# Metrics

What `GET /metrics` exports, in Prometheus' text format; made from a running service by
`AVJURY_WRITE_PAGES=1 python -m pytest tests/docs/test_metrics_page.py`. It needs no token unless
`service.open_metrics` is false. Series by stream are exported for the first `service.metrics_max_streams` streams.

Counters end in `_total`, histograms have `_bucket`, `_sum` and `_count`. Rules that add them up, alerts and a
dashboard are in `deploy/` ([deploying](deploying.md), [runbook](runbook.md)). `what` of `avjury_stream_events_total`
is whatever else an engine counts of a stream; an engine's own counts are `avjury_engine_NAME_total`. `stage` is
`ingest` (a packet, from its source to the engine), `decode` (a packet of pictures), `queue` (a picture waiting for
its batch), `measure` and `judge` (a batch).

| metric | labels | |
|---|---|---|
"""


def rows(families):
    """Lines of the table."""
    found = {}
    for family in families:
        name = family.name + ("_total" if family.type == "counter" else "")
        kind = " (histogram)" if family.type == "histogram" else ""
        labels = ", ".join(f"`{label}`" for label in getattr(family, "_labelnames", ()) or ())
        found[name] = f"| `{name}`{kind} | {labels} | {family.documentation} |"
    return found


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    with running(tmp_path_factory.mktemp("service"), CONFIG) as service:
        collectors = service.service.parts.registry._collector_to_names
        ours = next(one for one in collectors if type(one).__name__ == "ServiceCollector")
        families = [one for one in ours.collect() if not one.name.startswith("avjury_verdict_store_")]
    told = rows(families)
    # Its store of seconds is one in memory here; the real one tells more.
    store = VerdictStore(VerdictSettings.of(StorageSection(), tmp_path_factory.mktemp("store")))
    for name in store.snapshot():
        whole = f"avjury_verdict_store_{name}" + ("" if name in VERDICT_LEVELS else "_total")
        told[whole] = f"| `{whole}` | | The store of verdicts: {name.replace('_', ' ')}. |"
    for name, text in gpu_metrics._FAMILIES:
        told[name] = f"| `{name}` | `gpu`, `uuid` | {text} Only where there is an NVIDIA driver. |"
    return told


def test_the_page_has_every_metric_and_nothing_else(exported):
    page = HEAD + "\n".join(exported[name] for name in sorted(exported)) + "\n"
    if os.environ.get("AVJURY_WRITE_PAGES") == "1":
        PAGE.write_text(page, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page
