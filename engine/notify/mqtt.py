"""MQTT, quality of service 1: a message is a connection, on which each change is published and acknowledged.

The connection does not stay open: there is no thread that would have to keep it alive, and none that can die unseen.
"""

import ssl
import time
from collections.abc import Mapping
from typing import Any, Final

from engine.errors import ConfigError, NotifyError
from engine.notify.message import Message, encode
from engine.notify.sender import Sender
from engine.settings.notify import MqttSink

# What a topic may not hold in a name: the level mark, the wildcards, and nothing.
_ILLEGAL: Final = str.maketrans(dict.fromkeys("/+#\0", "_"))
_STEP_SECONDS: Final = 0.05


class MqttSender(Sender):
    """Publishes to a broker.

    Args:
        name: of the sink.
        sink: its configuration.
    Raises: ConfigError.
    """

    def __init__(self, name: str, sink: MqttSink) -> None:
        super().__init__(name)
        try:
            import paho.mqtt.client as paho
            from paho.mqtt.enums import CallbackAPIVersion
        except ModuleNotFoundError as error:
            raise ConfigError(
                "wrong sink", stream=name, why="paho-mqtt is not installed", remedy='pip install "avjury[mqtt]"'
            ) from error
        self._paho: Any = paho
        self._version = CallbackAPIVersion.VERSION2
        self._sink = sink
        self._port = sink.port or (8883 if sink.tls else 1883)
        self._trusted: ssl.SSLContext | None = None
        if sink.tls:
            try:
                self._trusted = ssl.create_default_context(cafile=sink.ca_file)
                self._trusted.sslsocket_class = _Connection
            except OSError as error:
                raise ConfigError(
                    "cannot read ca_file", stream=name, why=f"{sink.ca_file}: {error.strerror or error}",
                    remedy="name a readable PEM file",
                ) from error  # fmt: skip

    def send(self, message: Message) -> str:
        """Publish every change and wait until the broker has taken them all."""
        until = time.monotonic() + self._sink.timeout_seconds
        answers: list[Any] = []
        client = self._client(answers)
        try:
            try:
                client.connect(self._sink.host, self._port, keepalive=60)
            except (OSError, ValueError) as error:
                raise self._lost(str(error)) from error
            self._turn(client, until, lambda: bool(answers), "the broker does not answer")
            if answers[0].is_failure:
                raise self.failed(f"the broker refused: {answers[0]}", remedy="see its user, password and rights")
            sent = []
            for change in message.changes():
                topic = topic_of(self._sink.topic, change)
                sent.append(client.publish(topic, encode(change), qos=1, retain=self._sink.retain))
            self._turn(client, until, lambda: all(one.is_published() for one in sent), "it was not acknowledged")
            client.disconnect()
            client.loop(0.0)
        finally:
            self._hang_up(client)
        return f"{len(sent)} acknowledged"

    def _client(self, answers: list[Any]) -> Any:
        client = self._paho.Client(self._version, client_id=self._sink.client_id, clean_session=True)
        client.connect_timeout = self._sink.timeout_seconds
        if self._sink.user is not None:
            secret = self._sink.password
            client.username_pw_set(self._sink.user, None if secret is None else secret.get_secret_value())
        if self._trusted is not None:
            client.tls_set_context(self._trusted)
        client.on_connect = lambda _client, _data, _flags, reason, _properties: answers.append(reason)
        return client

    def _turn(self, client: Any, until: float, done: Any, otherwise: str) -> None:
        """Let the client work until that is so."""
        while not done():
            code = client.loop(_STEP_SECONDS)
            if done():
                return
            if code != self._paho.MQTT_ERR_SUCCESS:
                raise self._lost(f"the connection ended: {self._paho.error_string(code)}")
            if time.monotonic() > until:
                raise self._lost(f"{otherwise} within {self._sink.timeout_seconds:g} s")

    def _hang_up(self, client: Any) -> None:
        connection = client.socket()
        if connection is not None:
            connection.close()

    def _lost(self, why: str) -> NotifyError:
        return self.failed(why, remedy="see that the broker runs and is reached")


class _Connection(ssl.SSLSocket):
    """Closed where the broker cannot be trusted; paho leaves that to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        """Agree on keys, or close."""
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def topic_of(template: str, change: Mapping[str, Any]) -> str:
    """The topic of a change."""
    fields = {
        "stream": change["stream"],
        "channel": change["subject"],
        "detector": change["detector"],
        "area": change["detector"].split(".")[0],
        "severity": change["severity"],
        "change": change["change"],
    }
    return template.format_map({name: str(value).translate(_ILLEGAL) or "_" for name, value in fields.items()})
