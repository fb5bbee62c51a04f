"""What a first run says while it compiles."""

import time

import pytest

from engine.first_run import told_where_slow


@pytest.mark.parametrize(("waits", "seconds", "lines"), [(True, 0.3, 1), (False, 0.3, 0), (True, 0.0, 0)])
def test_one_line_where_it_takes_long_and_none_elsewhere(caplog, waits, seconds, lines):
    with told_where_slow(lambda: waits, patience_seconds=0.1):
        time.sleep(seconds)
    assert len(caplog.records) == lines
    assert all("compiling the kernels" in record.message for record in caplog.records)
