"""Amazon SNS: one publication for each message, with attributes to filter subscriptions by."""

import json
from typing import Any, Final

from engine.errors import ConfigError
from engine.notify.message import Message
from engine.notify.sender import Sender
from engine.settings.notify import SnsSink

# SNS takes 256 KiB, attributes included.
_LONGEST_BYTES: Final = 250_000
# What an operator repairs without a change of the message; the rest of 4xx is about the message or the topic.
_REPAIRABLE: Final = frozenset(
    (
        *("AuthorizationError", "AccessDenied", "AccessDeniedException", "ExpiredToken", "ExpiredTokenException"),
        *("InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "RequestExpired"),
        *("InvalidSecurity", "OptInRequired", "MissingAuthenticationToken", "KMSAccessDenied"),
        *("Throttling", "Throttled", "ThrottlingException", "ThrottledException", "RequestTimeout", "KMSThrottling"),
        *("TooManyRequestsException", "RequestThrottled", "RequestTimeoutException", "IncompleteSignature"),
    )
)


class SnsSender(Sender):
    """Publishes to a topic.

    Args:
        name: of the sink.
        sink: its configuration.
    Raises: ConfigError.
    """

    def __init__(self, name: str, sink: SnsSink) -> None:
        super().__init__(name)
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError, ClientError
        except ModuleNotFoundError as error:
            raise ConfigError(
                "wrong sink", stream=name, why="boto3 is not installed", remedy='pip install "avjury[notify]"'
            ) from error
        self._errors = (BotoCoreError, ClientError)
        self._topic = sink.topic_arn
        keys: dict[str, Any] = {}
        if sink.access_key_id is not None and sink.secret_access_key is not None:
            keys = {
                "aws_access_key_id": sink.access_key_id.get_secret_value(),
                "aws_secret_access_key": sink.secret_access_key.get_secret_value(),
            }
        # One attempt: it is the outbox that tries again, and remembers that it did.
        settings = Config(
            connect_timeout=sink.timeout_seconds,
            read_timeout=sink.timeout_seconds,
            retries={"total_max_attempts": 1},
        )
        try:
            self._client = boto3.session.Session().client(
                "sns", region_name=sink.topic_arn.split(":")[3], endpoint_url=sink.endpoint_url, config=settings, **keys
            )
        except (BotoCoreError, ValueError) as error:
            raise ConfigError(
                "wrong sink", stream=name, why=str(error), remedy="correct its address or region"
            ) from error

    def send(self, message: Message) -> str:
        """Publish."""
        changes = message.changes()
        first = changes[0]
        attributes = {
            "type": first["type"],
            "change": first["change"] if len(changes) == 1 else "several",
            "severity": _worst(changes),
            "detector": _common(changes, "detector"),
            "stream": _common(changes, "stream"),
        }
        request: dict[str, Any] = {
            "TopicArn": self._topic,
            "Message": _bounded(message),
            "Subject": message.title().encode("ascii", "replace").decode(),
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": value or "-"} for name, value in attributes.items()
            },
        }
        if self._topic.endswith(".fifo"):
            request |= {"MessageGroupId": first["id"], "MessageDeduplicationId": message.id}
        try:
            answer = self._client.publish(**request)
        except self._errors as error:
            raise self._mapped(error) from error
        return f"message {answer['MessageId']}"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _mapped(self, error: Exception) -> Exception:
        response: dict[str, Any] = getattr(error, "response", {})
        code = str(response.get("Error", {}).get("Code", ""))
        status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        permanent = 400 <= status < 500 and status not in (408, 429) and code not in _REPAIRABLE
        said = str(response.get("Error", {}).get("Message", "")) or str(error)
        return self.failed(
            " ".join(f"{code}: {said}".removeprefix(": ").split()),
            remedy="see the topic's name and the permission sns:Publish",
            permanent=permanent,
        )


def _bounded(message: Message) -> str:
    """The message's JSON, without its details where they are too long for SNS."""
    whole = message.json()
    if len(whole) <= _LONGEST_BYTES:
        return whole.decode()
    keep = ("type", "change", "key", "id", "stream", "subject", "detector", "severity", "state", "start", "end",
            "duration", "opened_at", "closed_at", "link")  # fmt: skip
    items = [{name: change[name] for name in keep if name in change} for change in message.changes()]
    document: dict[str, Any] = {"type": "incidents", "items": items, "truncated": True}
    if len(items) == 1:
        document = {**items[0], "truncated": True}
    while len(json.dumps(document).encode()) > _LONGEST_BYTES and len(items) > 1:
        del items[len(items) // 2 :]
    return json.dumps(document)


def _worst(changes: list[dict[str, Any]]) -> str:
    return next(s for s in ("critical", "warning", "info") if any(c["severity"] == s for c in changes))


def _common(changes: list[dict[str, Any]], name: str) -> str:
    values = {str(change[name]) for change in changes}
    return values.pop() if len(values) == 1 else "several"
