"""Makes avjury.json, the Grafana dashboard: `python deploy/grafana/dashboard.py`. A test holds the file to this."""

import json
from pathlib import Path
from typing import Any, Final

FILE: Final = Path(__file__).with_name("avjury.json")
SOURCE: Final = {"type": "prometheus", "uid": "${source}"}
_WIDE, _HIGH = 24, 8

# Title, unit, expressions with their legends; each row of the dashboard is one list.
ROWS: Final[tuple[tuple[str, tuple[tuple[str, str, str, tuple[tuple[str, str], ...]], ...]], ...]] = (
    ("Now", (
        ("stat", "Streams judged", "short", (('avjury_streams_by_state{state="running"}', "running"),)),
        ("stat", "Streams not judged", "short", (("avjury:streams_not_judged", "not judged"),)),
        ("stat", "Open incidents", "short", (("sum(avjury_incident_open)", "open"),)),
        ("stat", "Room for streams", "short", (("sum(avjury_headroom_streams)", "streams"),)),
    )),
    ("Incidents", (
        ("timeseries", "Open incidents by detector", "short", (("avjury_incident_open > 0", "{{detector}}"),)),
        ("timeseries", "Incidents opened per minute", "short",
         (("sum by (severity) (rate(avjury_incidents_total[5m])) * 60", "{{severity}}"),)),
    )),
    ("Streams", (
        ("timeseries", "Streams by state", "short", (("avjury_streams_by_state", "{{state}}"),)),
        ("timeseries", "Pictures judged a second", "short", (("avjury:frames_judged:rate1m", "{{instance}}"),)),
        ("timeseries", "Damage a second, the ten worst", "short",
         (("topk(10, rate(avjury_decode_errors_total[5m]) > 0)", "{{stream}}"),)),
        ("timeseries", "Verdicts behind, the ten worst", "s", (("topk(10, avjury_stream_lag_seconds)", "{{stream}}"),)),
    )),
    ("Engines", (
        ("timeseries", "Load", "percentunit", (("avjury_engine_load_ratio", "{{engine}}"),)),
        ("timeseries", "From picture to verdict, p99", "s", (("avjury:verdict_latency_seconds:p99_5m", "{{engine}}"),)),
        ("timeseries", "Where the time goes, mean of each stage", "s",
         (("sum by (stage) (rate(avjury_stage_latency_seconds_sum[5m])) "
           "/ sum by (stage) (rate(avjury_stage_latency_seconds_count[5m]))", "{{stage}}"),)),
        ("timeseries", "Pictures and sound that wait", "short", (("avjury_engine_queue_depth", "{{engine}}"),)),
        ("timeseries", "Memory", "bytes", (("avjury_engine_resident_memory_bytes", "{{engine}}"),
                                          ("process_resident_memory_bytes", "supervisor {{instance}}"))),
        ("timeseries", "From the device to the host", "Bps",
         (("rate(avjury_device_to_host_bytes_total[1m])", "{{engine}}"),)),
        ("timeseries", "Decoders of GPUs (NVDEC) busy", "percentunit",
         (("avjury_gpu_nvdec_utilization_ratio", "{{instance}} GPU {{gpu}}"),)),
        ("timeseries", "Kernels and memory of GPUs", "percentunit",
         (("avjury_gpu_utilization_ratio", "kernels {{instance}} GPU {{gpu}}"),
          ("avjury_gpu_memory_used_bytes / avjury_gpu_memory_bytes", "memory {{instance}} GPU {{gpu}}"))),
    )),
    ("Service", (
        ("timeseries", "Notifications a minute", "short",
         (("sum by (sink, outcome) (rate(avjury_notifications_total[5m])) * 60", "{{sink}} {{outcome}}"),)),
        ("timeseries", "What waits", "short", (("avjury_recorder_backlog", "reports"),
                                              ("avjury_notifications_pending", "notices for {{sink}}"),
                                              ("avjury_verdict_store_queued_seconds", "seconds"))),
    )),
    ("Canary", (
        ("timeseries", "Planted defects found, of the last 20", "percentunit",
         (("avjury_canary_recall_ratio", "{{detector}}"),)),
        ("timeseries", "From planted to known, p95 of an hour", "s",
         (("avjury:canary_detect_seconds:p95_1h", "{{detector}}"),)),
    )),
)  # fmt: skip


# Of these, anything above nothing is in this colour.
ALARMING: Final = {"Streams not judged": "red", "Open incidents": "orange"}


def _alarming(title: str) -> dict[str, Any]:
    if title not in ALARMING:
        return {}
    steps = [{"color": "green", "value": None}, {"color": ALARMING[title], "value": 1}]
    return {"thresholds": {"mode": "absolute", "steps": steps}}


def dashboard() -> dict[str, Any]:
    """The dashboard."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS:
        panels.append({"id": len(panels) + 1, "type": "row", "title": title, "collapsed": False, "panels": [],
                       "gridPos": {"x": 0, "y": top, "w": _WIDE, "h": 1}})  # fmt: skip
        top += 1
        across = min(len(row), 4 if row[0][0] == "stat" else 2)
        high = 4 if row[0][0] == "stat" else _HIGH
        for index, (kind, name, unit, expressions) in enumerate(row):
            place = {"x": index % across * (_WIDE // across), "y": top + index // across * high,
                     "w": _WIDE // across, "h": high}  # fmt: skip
            panels.append(
                {
                    "id": len(panels) + 1,
                    "type": kind,
                    "title": name,
                    "datasource": SOURCE,
                    "gridPos": place,
                    "fieldConfig": {"defaults": {"unit": unit, "min": 0, **_alarming(name)}, "overrides": []},
                    "targets": [
                        {"refId": chr(65 + n), "expr": expression, "legendFormat": legend, "datasource": SOURCE}
                        for n, (expression, legend) in enumerate(expressions)
                    ],
                }
            )
        top += -(-len(row) // across) * high
    return {
        "uid": "avjury",
        "title": "avjury",
        "tags": ["avjury"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [{"name": "source", "type": "datasource", "query": "prometheus", "label": "Source"}]},
        "panels": panels,
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(dashboard(), indent=1) + "\n", encoding="utf-8")
