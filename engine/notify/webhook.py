"""Webhooks, signed so that the receiver can tell who sent them, and when.

Source: Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body` in base64, versioned; several signatures side by
side while a secret changes.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Sequence

from engine.notify.http import Poster
from engine.notify.message import Message
from engine.notify.sender import Sender
from engine.settings.notify import WebhookSink, secret_bytes


class WebhookSender(Sender):
    """Posts JSON to an address.

    Args:
        name: of the sink.
        sink: its configuration.
        clock: Unix seconds.
    Raises: ConfigError.
    """

    def __init__(self, name: str, sink: WebhookSink, clock: Callable[[], float] = time.time) -> None:
        super().__init__(name)
        self._url = sink.url.get_secret_value()
        self._keys = [secret_bytes(secret.get_secret_value()) for secret in sink.secrets]
        self._clock = clock
        self._poster = Poster(name, sink.timeout_seconds, sink.headers, sink.proxy, sink.ca_file)

    def send(self, message: Message) -> str:
        """Deliver one POST."""
        body = message.json()
        at = int(self._clock())
        headers = {"webhook-id": message.id, "webhook-timestamp": str(at)}
        if self._keys:
            headers["webhook-signature"] = sign(self._keys, message.id, at, body)
        [reply] = self._poster.post([self._url], body, headers)
        if reply.arrived:
            return f"HTTP {reply.status}"
        raise self.failed(
            reply.why,
            remedy="see why the receiver refused it" if reply.status else "see that the receiver runs and is reached",
            permanent=reply.permanent,
            divisible=reply.divisible,
            retry_after_seconds=reply.retry_after_seconds,
        )

    def close(self) -> None:
        """Close the connection."""
        self._poster.close()


def sign(keys: Sequence[bytes], message_id: str, at: int, body: bytes) -> str:
    """The `webhook-signature` header: one signature for each key.

    Args:
        at: Unix seconds, as in `webhook-timestamp`.
    """
    signed = f"{message_id}.{at}.".encode() + body
    return " ".join(f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}" for key in keys)
