"""The sender for a configured sink. A library that a kind of sink needs is imported only where there is one."""

from importlib.metadata import entry_points

from engine.errors import AvjuryError, ConfigError
from engine.notify.sender import Sender
from engine.settings.notify import (
    AlertmanagerSink,
    AppriseSink,
    MqttSink,
    NotifySection,
    PluginSink,
    SinkSection,
    SnsSink,
    WebhookSink,
)

PLUGINS = "avjury.sinks"


def make_sender(name: str, sink: SinkSection, section: NotifySection) -> Sender:
    """The sender for a sink; nothing is opened yet.

    Args:
        name: of the sink.
        sink: its configuration.
        section: the whole section, for what all sinks share.
    Raises: ConfigError for what the sink's own library refuses.
    """
    if isinstance(sink, WebhookSink):
        from engine.notify.webhook import WebhookSender

        return WebhookSender(name, sink)
    if isinstance(sink, AlertmanagerSink):
        from engine.notify.alertmanager import AlertmanagerSender

        return AlertmanagerSender(name, sink, section.link)
    if isinstance(sink, SnsSink):
        from engine.notify.sns import SnsSender

        return SnsSender(name, sink)
    if isinstance(sink, MqttSink):
        from engine.notify.mqtt import MqttSender

        return MqttSender(name, sink)
    if isinstance(sink, AppriseSink):
        from engine.notify.chat import AppriseSender

        return AppriseSender(name, sink)
    assert isinstance(sink, PluginSink)
    return _plugin(name, sink)


def _plugin(name: str, sink: PluginSink) -> Sender:
    """A sender of another package: its entry point is called with the sink's name and options."""
    found = {point.name: point for point in entry_points(group=PLUGINS)}
    if sink.name not in found:
        raise ConfigError(
            "wrong sink", stream=name, why=f"no installed package brings {sink.name!r}",
            remedy=f"install one with that entry point in {PLUGINS}; installed: {', '.join(found) or 'none'}",
        )  # fmt: skip
    try:
        sender = found[sink.name].load()(name, sink.options)
    except AvjuryError:
        raise
    except Exception as error:  # whatever another package raises has to be seen as the sink's mistake
        raise ConfigError(
            "wrong sink", stream=name, why=f"{sink.name} did not start: {error}", remedy="see the package's manual"
        ) from error
    if not isinstance(sender, Sender):
        raise ConfigError(
            "wrong sink", stream=name, why=f"{sink.name} made no engine.notify.sender.Sender",
            remedy="see the package's manual",
        )  # fmt: skip
    return sender
