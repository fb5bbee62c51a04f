"""The object store: moto's S3 in a process of its own, which counts what it is asked.

`python -m benchmarks.function_chain.store_server` prints its port, and at the end of its standard input what it counted
and what CPU it took, as JSON. It keeps objects in memory. It is slower than S3; that takes its own CPU, which is not
the chain's, and makes functions wait, for which the chain is not charged. It closes each connection after one request;
opening them takes some CPU of the functions, which S3 would spare them.
"""

import json
import sys
import threading
import time
from collections import Counter
from typing import Any


def main() -> None:
    """Serve until standard input ends."""
    import logging

    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    counted: Counter[str] = Counter()

    class Handler(MotoRequestHandler):
        def setup(self) -> None:
            counted["connections"] += 1
            super().setup()

        def make_environ(self) -> dict[str, Any]:
            counted[self.command] += 1
            return super().make_environ()

        def log_request(self, *_: object) -> None:
            pass

    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    print(server.server_port, flush=True)  # noqa: T201 - read by the benchmark
    for line in sys.stdin:  # each line asks for what was counted so far
        if line.strip() == "count":
            print(json.dumps({**counted, "cpu_seconds": time.process_time()}), flush=True)  # noqa: T201
    server.shutdown()
    thread.join(10)


if __name__ == "__main__":
    main()
