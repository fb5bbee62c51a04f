"""Who is told of incidents, how, and how often."""

import base64
import binascii
import re
import string
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, SecretStr, field_validator

from engine.settings.section import Section

SINK_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
TOPIC_FIELDS: Final = ("stream", "channel", "detector", "area", "severity", "change")
GROUP_FIELDS: Final = ("incident", "stream", "channel", "detector", "area", "severity")
SECRET_PREFIX: Final = "whsec_"


def secret_bytes(secret: str) -> bytes:
    """The key in a webhook's secret.

    Raises: ValueError if it is none.
    Source: Standard Webhooks: base64 of 24 to 64 random bytes, with or without "whsec_" before it.
    """
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not 24 <= len(key) <= 64:
        raise ValueError("a secret is whsec_ and 24 to 64 bytes in base64 (`openssl rand -base64 32` makes them)")
    return key


def _web_address(url: str) -> str:
    if not re.match(r"https?://[^/?#\s@]+", url, re.IGNORECASE):
        raise ValueError("it has to begin with http:// or https:// and a host; a user goes into `headers`")
    return url


def _secret_web_address(url: SecretStr) -> SecretStr:
    _web_address(url.get_secret_value())
    return url


WebAddress = Annotated[str, AfterValidator(_web_address), Field(description="http:// or https://")]
# The path of many a webhook is all that protects it.
SecretWebAddress = Annotated[SecretStr, AfterValidator(_secret_web_address), Field(description="http:// or https://")]
Headers = dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")], SecretStr]
CaFile = Annotated[str | None, Field(description="a PEM file of authorities to trust instead of the usual ones")]


class SinkSection(Section):
    """What every sink has in common."""

    messages_per_minute: Annotated[
        float | None, Field(gt=0, le=100_000, description="most messages a minute; null for no limit")
    ] = None
    burst: Annotated[int, Field(ge=1, le=10_000, description="messages that may go out at once after a pause")] = 5
    changes_per_message: Annotated[int, Field(ge=1, le=1000, description="most changes in one message")] = 1
    timeout_seconds: Annotated[float, Field(ge=0.1, le=60, description="how long one attempt may take")] = 3.0
    give_up_seconds: Annotated[
        float, Field(ge=1, le=30 * 86400, description="a notice older than this becomes a dead letter")
    ] = 86400.0
    most_attempts: Annotated[int | None, Field(ge=1, description="attempts before that too; null for no limit")] = None


class WebhookSink(SinkSection):
    """JSON by HTTP POST, signed as the Standard Webhooks have it."""

    type: Literal["webhook"]
    url: SecretWebAddress
    secrets: Annotated[
        list[SecretStr], Field(max_length=2, description="none, one, or the new and the old one while they change")
    ] = Field(default_factory=list)
    headers: Headers = Field(default_factory=dict)
    proxy: SecretStr | None = None
    ca_file: CaFile = None

    @field_validator("secrets")
    @classmethod
    def _are_keys(cls, secrets: list[SecretStr]) -> list[SecretStr]:
        for secret in secrets:
            secret_bytes(secret.get_secret_value())
        return secrets


class SnsSink(SinkSection):
    """A topic of Amazon SNS. Without keys here, those that boto3 finds: variables, files, the machine's role."""

    type: Literal["sns"]
    topic_arn: Annotated[
        str, Field(pattern=r"^arn:[^:]+:sns:[^:]+:\d+:[^:]+$", description="arn:aws:sns:REGION:ACCOUNT:NAME")
    ]
    endpoint_url: WebAddress | None = None
    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None


class AlertmanagerSink(SinkSection):
    """Prometheus's Alertmanager, one instance or all of a cluster."""

    type: Literal["alertmanager"]
    urls: Annotated[list[WebAddress], Field(min_length=1, max_length=16, description="one for each instance")]
    labels: dict[Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")], str] = Field(default_factory=dict)
    resend_seconds: Annotated[
        float, Field(ge=1, le=3600, description="how often an open incident is told again, so that it does not resolve")
    ] = 60.0
    changes_per_message: Annotated[int, Field(ge=1, le=1000, description="most changes in one message")] = 100
    headers: Headers = Field(default_factory=dict)
    ca_file: CaFile = None


class MqttSink(SinkSection):
    """A broker, quality of service 1: one publication for each change."""

    type: Literal["mqtt"]
    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int | None, Field(ge=1, le=65535, description="null: 1883, or 8883 with tls")] = None
    topic: Annotated[str, Field(min_length=1, max_length=1024)] = "avjury/{stream}/{detector}"
    user: str | None = None
    password: SecretStr | None = None
    client_id: Annotated[str, Field(max_length=64, description="empty: the broker gives one")] = ""
    retain: bool = False
    tls: bool = False
    ca_file: CaFile = None
    changes_per_message: Annotated[int, Field(ge=1, le=1000, description="changes published over one connection")] = 100

    @field_validator("topic")
    @classmethod
    def _is_template(cls, topic: str) -> str:
        try:
            parts = list(string.Formatter().parse(topic))
        except ValueError as error:
            raise ValueError("its braces do not match") from error
        wrong = [name for _, name, how, _ in parts if name is not None and (name not in TOPIC_FIELDS or how)]
        if wrong or any(mark in text for text, *_ in parts for mark in "+#\0"):
            raise ValueError(
                f"it may hold text without + and #, and {', '.join(f'{{{name}}}' for name in TOPIC_FIELDS)}"
            )
        return topic


class AppriseSink(SinkSection):
    """E-mail, chat, pager: any service that Apprise knows, by its address."""

    type: Literal["apprise"]
    url: SecretStr
    messages_per_minute: Annotated[
        float | None, Field(gt=0, le=100_000, description="most messages a minute; null for no limit")
    ] = 10.0
    changes_per_message: Annotated[
        int, Field(ge=1, le=1000, description="changes listed in one message; it counts the others")
    ] = 20
    timeout_seconds: Annotated[float, Field(ge=0.1, le=60, description="how long one attempt may take")] = 10.0


class PluginSink(SinkSection):
    """A sink of another package, found through the entry points of the group `avjury.sinks`."""

    type: Literal["plugin"]
    name: Annotated[str, Field(min_length=1, description="of the entry point")]
    options: dict[str, Any] = Field(default_factory=dict, repr=False)


Sink = Annotated[
    WebhookSink | SnsSink | AlertmanagerSink | MqttSink | AppriseSink | PluginSink, Field(discriminator="type")
]


# Copied by pydantic for each route.
_EVERYTHING: Final = ["*"]
_BOTH_ENDS: Final[list[Literal["opened", "updated", "closed"]]] = ["opened", "closed"]


class RouteSection(Section):
    """Which changes go to which sinks. Every condition has to hold."""

    sinks: Annotated[list[str], Field(description="names of sinks; none tells nobody")]
    severity: Annotated[Literal["info", "warning", "critical"], Field(description="at or above it")] = "info"
    detectors: Annotated[list[str], Field(min_length=1, description="names or patterns")] = _EVERYTHING
    streams: Annotated[list[str], Field(min_length=1, description="or channels: ids or patterns")] = _EVERYTHING
    labels: Annotated[dict[str, str], Field(description="label: value or pattern")] = Field(default_factory=dict)
    changes: Annotated[list[Literal["opened", "updated", "closed"]], Field(min_length=1)] = _BOTH_ENDS
    stop: Annotated[bool, Field(description="false: later routes are looked at too")] = True
    hold_seconds: Annotated[
        float, Field(ge=0, le=86400, description="an incident that is over sooner is not told at all")
    ] = 0.0
    closed_hold_seconds: Annotated[
        float | None,
        Field(ge=0, le=86400, description="how long the end waits to be told, in case it comes back"),
    ] = None
    group_by: Annotated[
        list[str], Field(description=f"what a message has in common: {', '.join(GROUP_FIELDS)}, labels.NAME")
    ] = Field(default_factory=list)

    @field_validator("group_by")
    @classmethod
    def _are_fields(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in GROUP_FIELDS and not name.startswith("labels."):
                raise ValueError(f"{name!r} is none of {', '.join(GROUP_FIELDS)}, labels.NAME")
        return names


class NotifySection(Section):
    """Who is told of incidents, how, and how often."""

    sinks: dict[str, Sink] = Field(default_factory=dict)
    routes: list[RouteSection] = Field(default_factory=list)
    link: Annotated[
        str | None, Field(description="address of an incident's page for people, with {id} in it; null for none")
    ] = None
    keep_days: Annotated[
        float, Field(gt=0, le=3650, description="how long what was delivered or given up can be looked up")
    ] = 7.0

    @field_validator("sinks")
    @classmethod
    def _are_named(cls, sinks: dict[str, Sink]) -> dict[str, Sink]:
        for name in sinks:
            if not SINK_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name: lower-case letters, digits, - and _, at most 64")
        return sinks

    @field_validator("routes")
    @classmethod
    def _name_sinks(cls, routes: list[RouteSection], info: Any) -> list[RouteSection]:
        known = info.data.get("sinks")
        for index, route in enumerate(routes):
            for sink in route.sinks:
                if known is not None and sink not in known:
                    raise ValueError(f"routes[{index}]: there is no sink {sink!r}; sinks: {', '.join(known) or 'none'}")
        return routes

    @field_validator("link")
    @classmethod
    def _has_a_place_for_the_id(cls, link: str | None) -> str | None:
        if link is not None and (link.replace("{id}", "").count("{") or "{id}" not in link):
            raise ValueError("it has to hold {id}, and no other braces")
        return link
