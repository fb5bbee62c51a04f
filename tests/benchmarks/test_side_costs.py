"""What the page of measurements says of the networks' cost."""

from benchmarks.measured_page import load
from benchmarks.measured_parts import side

HEARD = {
    "windows_per_second": 0.1,
    "window_cpu_seconds": {"p20": 0.011, "p50": 0.0123, "p80": 0.02, "n": 40},
    "cpu_seconds_per_stream_second": 0.0057,
    "without": 0.0044,
    "share": 0.228,
    "turns": 5,
}


def test_the_page_says_what_a_window_of_the_audio_network_costs_where_the_record_has_it():
    record = load()["side"]
    assert record is not None
    figures = {name: value for name, value in record["figures"].items() if name != "audio_network"}
    assert "audio network" not in " ".join(side({**record, "figures": figures}))
    text = " ".join(side({**record, "figures": {**figures, "audio_network": HEARD}}))
    assert "a window of two seconds takes 12.3 ms of CPU (median of 40)" in text
    assert "takes 5.7 ms with it at its usual rate of 0.1 windows a second, and 4.4 ms without" in text
