"""The system that avjury replaces: a chain of cloud functions, run for real on one machine.

    entry point -> one execution of the state machine per stream-second:
    Convert -> Detect (every detector function side by side) -> Aggregate -> anything changed? -> Notify

- `system` starts it all and moves executions on; every state entered is written to SQLite before it is acted upon.
- `worker` is a function's process: it waits for an invocation, and answers it. JSON both ways.
- `functions` is what they do: converter, detectors, aggregator, notifier.
- `pictures` and `store` are the handoff: encoded pictures and sound in an object store with the S3 API over HTTP.
- `store_server` is that store, `one_process` is avjury on the same inputs, `account` prices both.

Where the original's authors had a choice, the chain gets the cheaper one: workers stay warm, keep each stream's decoder
and detector state in memory, send and fetch in parallel, use a client written in Rust, and pay for no network. What a
real one would pay beyond that is not counted.
"""
