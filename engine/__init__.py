"""The streaming engine: ingest, decode, batch, measure, judge, incidents, and the commands around them."""
