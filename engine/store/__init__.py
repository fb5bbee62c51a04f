"""What is kept: streams, incidents and the notification outbox in a database, stream-seconds as Parquet."""
