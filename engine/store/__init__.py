"""What is kept: streams, incidents and the notification outbox in a database, stream-seconds as Parquet."""

import os

# Arrow's own allocator keeps what each thread freed until this thread needs it again; that of the C library gives it
# back when engine/heap.py says so. Arrow asks once, as it is imported.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
