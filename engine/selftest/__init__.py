"""`avjury selftest`: known defects are made, planted and judged, so that one sees what this installation finds."""
