"""Every other kind of sink against the real server: SNS (moto), Alertmanager, an MQTT broker, SMTP through Apprise."""

import json
import threading
import time
import urllib.request
import warnings

import apprise
import boto3
import paho.mqtt.client as paho
import pytest
import servers
from paho.mqtt.enums import CallbackAPIVersion
from receivers import MailServer, Receiver

from engine.errors import ConfigError, NotifyError
from engine.notify.alertmanager import AlertmanagerSender
from engine.notify.chat import AppriseSender
from engine.notify.message import Message, sample
from engine.notify.mqtt import MqttSender, topic_of
from engine.notify.sns import SnsSender
from engine.verdicts import Severity

MESSAGE = Message("msg_1", (sample(1000.0, "k"),))


def told_by(name, sink):
    return {"sinks": {name: sink}, "routes": [{"sinks": [name]}]}


@pytest.fixture(scope="module", autouse=True)
def apprise_loaded():
    """Apprise imports all its services at the first use, and some of those import what Python has deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert apprise.Apprise.instantiate("json://127.0.0.1") is not None


@pytest.fixture(scope="module")
def aws():
    with servers.aws() as server:
        yield server


@pytest.fixture(scope="module")
def cloud(aws):
    options = {
        "region_name": "eu-west-1",
        "endpoint_url": aws.url,
        "aws_access_key_id": "a",
        "aws_secret_access_key": "b",
    }
    clients = [boto3.session.Session().client(name, **options) for name in ("sns", "sqs")]
    yield clients
    for client in clients:
        client.close()


@pytest.fixture
def topic(cloud):
    """A topic whose messages arrive in a queue."""
    sns, sqs = cloud
    name = f"t{time.monotonic_ns()}"
    arn = sns.create_topic(Name=name)["TopicArn"]
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    target = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=target)

    def taken():
        found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(one["Body"]) for one in found]

    return arn, taken


def sns_sink(aws, arn, **fields):
    keys = {"access_key_id": "a", "secret_access_key": "hunter2"}
    return {"type": "sns", "topic_arn": arn, "endpoint_url": aws.url, **keys, **fields}


def test_sns_delivers_to_a_queue_with_attributes_to_filter_by(service, aws, topic):
    arn, taken = topic
    service.start(told_by("topic", sns_sink(aws, arn)))
    service.open("kanal ü", severity=Severity.WARNING)
    assert service.settled() == {("topic", "delivered"): 1}
    [message] = taken()
    body = json.loads(message["Message"])
    assert (body["stream"], body["change"], body["severity"]) == ("kanal ü", "opened", "warning")
    attributes = {name: one["Value"] for name, one in message["MessageAttributes"].items()}
    assert attributes == {
        "type": "incident", "change": "opened", "severity": "warning", "detector": "video.freeze", "stream": "kanal ü",
    }  # fmt: skip
    assert message["Subject"].startswith("avjury: warning: video.freeze on kanal ?")


def test_sns_keeps_a_long_message_within_its_limit(sink, aws, topic):
    arn, taken = topic
    long = sample(1000.0, "k")
    long = type(long)(**{**{n: getattr(long, n) for n in long.__slots__},
                         "payload": {**long.payload, "comments": [{"text": "x" * 300_000}]}})  # fmt: skip
    sender = SnsSender("topic", sink(sns_sink(aws, arn)))
    sender.send(Message("msg_1", (long,)))
    sender.close()
    [message] = taken()
    body = json.loads(message["Message"])
    assert body["truncated"]
    assert (body["stream"], body["detector"]) == ("test", "video.freeze")


def test_sns_gives_up_on_a_topic_that_is_not_there_and_not_on_one_that_is_away(service, sink, aws):
    arn = "arn:aws:sns:eu-west-1:123456789012:none"
    service.start(told_by("topic", sns_sink(aws, arn)))
    service.open()
    assert service.settled() == {("topic", "dead"): 1}
    [letter] = service.store.outbox.dead_letters().items
    assert "NotFound" in letter.error
    away = SnsSender("topic", sink({**sns_sink(aws, arn), "endpoint_url": f"http://127.0.0.1:{servers.free_port()}"}))
    with pytest.raises(NotifyError) as caught:
        away.send(MESSAGE)
    away.close()
    assert not caught.value.permanent
    assert "hunter2" not in caught.value.line()


@pytest.fixture(scope="module")
def alertmanager():
    with servers.alertmanager() as server:
        yield server


def alerts(server, stream):
    """The alerts that fire for a stream."""
    with urllib.request.urlopen(f"{server.url}/api/v2/alerts", timeout=5) as reply:
        return [one for one in json.load(reply) if one["labels"]["stream"] == stream]


def test_an_incident_fires_in_alertmanager_and_resolves_there(service, alertmanager):
    sink = {"type": "alertmanager", "urls": [alertmanager.url], "labels": {"site": "x"}}
    service.start({**told_by("am", sink), "link": "https://a.example/i/{id}"})
    service.add("one-hd", channel="one", labels={"region.name": "eu"})
    incident = service.open("one-hd", cause="dns")
    service.settled()
    [alert] = alerts(alertmanager, "one-hd")
    assert alert["labels"] == {
        "alertname": "video.freeze", "detector": "video.freeze", "severity": "critical", "stream": "one-hd",
        "channel": "one", "site": "x", "region_name": "eu",
    }  # fmt: skip
    assert alert["annotations"] == {
        "summary": "video.freeze on one", "description": "dns", "incident": incident.id,
    }  # fmt: skip
    assert alert["generatorURL"] == f"https://a.example/i/{incident.id}"
    service.close("one-hd")
    service.settled()
    servers.eventually(lambda: alerts(alertmanager, "one-hd") == [], 10)


def test_an_open_incident_does_not_resolve_by_itself_while_the_service_runs(service, alertmanager):
    sink = {"type": "alertmanager", "urls": [alertmanager.url], "resend_seconds": 1}
    service.start(told_by("am", sink))
    service.open("long")
    service.settled()
    [first] = alerts(alertmanager, "long")
    time.sleep(6)  # longer than the four seconds that an alert lasts unless it is told again
    [later] = alerts(alertmanager, "long")
    assert later["endsAt"] > first["endsAt"]
    assert (later["fingerprint"], later["startsAt"]) == (first["fingerprint"], first["startsAt"])
    service.stop()
    servers.eventually(lambda: alerts(alertmanager, "long") == [], 15)


def test_one_instance_of_a_cluster_is_enough(service, alertmanager, caplog):
    urls = [f"http://127.0.0.1:{servers.free_port()}", alertmanager.url]
    service.start(told_by("am", {"type": "alertmanager", "urls": urls}))
    service.open("pair")
    assert service.settled() == {("am", "delivered"): 1}
    assert len(alerts(alertmanager, "pair")) == 1
    assert caplog.text.count("does not take alerts") == 1


def test_an_instance_that_comes_back_is_told_of_what_is_open(service, alertmanager):
    with servers.alertmanager() as other:
        other.stop()
        urls = [alertmanager.url, other.url]
        service.start(told_by("am", {"type": "alertmanager", "urls": urls, "resend_seconds": 1}))
        service.open("both")
        assert service.settled() == {("am", "delivered"): 1}
        other.start()
        servers.eventually(lambda: len(alerts(other, "both")) == 1, 20)
        service.close("both")
        service.settled()
        for instance in (alertmanager, other):
            servers.eventually(lambda instance=instance: alerts(instance, "both") == [], 10)


def test_alertmanager_that_is_away_is_told_when_it_is_back(service, sink):
    with servers.alertmanager() as server:
        server.stop()
        service.start(told_by("am", {"type": "alertmanager", "urls": [server.url]}))
        service.open("back")
        service.close("back")
        service.open("still")
        servers.eventually(lambda: service.notifier.snapshot()["am"].outcomes["failed"], 10)
        server.start()
        service.settled()
        assert len(alerts(server, "still")) == 1
        assert alerts(server, "back") == []


class Subscriber:
    """Keeps what a broker hands out."""

    def __init__(self, port, topics, **login):
        self.got = []
        self.changed = threading.Condition()
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        if login:
            self._client.username_pw_set(login["user"], login["password"])
        self._client.on_message = self._take
        self._client.on_connect = lambda client, *_: client.subscribe([(topic, 1) for topic in topics])
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(10)

    def wait_for(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.got) >= count, 10)
            return list(self.got)

    def _take(self, client, data, message):
        with self.changed:
            self.got.append((message.topic, message.qos, json.loads(message.payload)))
            self.changed.notify_all()

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


def test_mqtt_publishes_each_change_acknowledged_on_its_topic(service):
    with servers.mosquitto() as broker:
        reader = Subscriber(broker.port, ["tv/#"])
        topic = "tv/{stream}/{area}/{change}"
        service.start(told_by("bus", {"type": "mqtt", "host": "127.0.0.1", "port": broker.port, "topic": topic}))
        service.open("a/b+#")
        service.close("a/b+#")
        got = reader.wait_for(2)
        assert service.settled() == {("bus", "delivered"): 2}
        reader.close()
    assert [(topic, qos) for topic, qos, _ in got] == [("tv/a_b__/video/opened", 1), ("tv/a_b__/video/closed", 1)]
    assert [body["stream"] for _, _, body in got] == ["a/b+#", "a/b+#"]


def test_mqtt_is_told_when_the_broker_is_back_and_only_with_the_right_password(service, sink):
    with servers.mosquitto("ann", "hunter2") as broker:
        place = {"type": "mqtt", "host": "127.0.0.1", "port": broker.port, "user": "ann"}
        with pytest.raises(NotifyError, match="authori") as caught:
            MqttSender("bus", sink({**place, "password": "wrong-word"})).send(MESSAGE)
        assert "wrong-word" not in caught.value.line()
        broker.stop()
        service.start(told_by("bus", {**place, "password": "hunter2"}))
        service.open()
        servers.eventually(lambda: service.notifier.snapshot()["bus"].outcomes["failed"], 10)
        broker.start()
        reader = Subscriber(broker.port, ["#"], user="ann", password="hunter2")
        assert len(reader.wait_for(1)) == 1
        reader.close()
        assert service.settled() == {("bus", "delivered"): 1}


def test_mqtt_over_tls_checks_the_broker(sink, tmp_path):
    pair = servers.certificate(tmp_path)
    with servers.mosquitto(tls=pair) as broker:
        place = {"type": "mqtt", "host": "127.0.0.1", "port": broker.port, "tls": True}
        assert MqttSender("bus", sink({**place, "ca_file": str(pair[0])})).send(MESSAGE) == "1 acknowledged"
        with pytest.raises(NotifyError, match="CERTIFICATE_VERIFY_FAILED"):
            MqttSender("bus", sink(place)).send(MESSAGE)


def test_mqtt_does_not_wait_for_a_broker_that_says_nothing(sink):
    with Receiver() as receiver:  # speaks HTTP, to those who do
        port = int(receiver.url.split(":")[2].split("/")[0])
        began = time.monotonic()
        with pytest.raises(NotifyError):
            MqttSender("bus", sink({"type": "mqtt", "host": "127.0.0.1", "port": port, "timeout_seconds": 1})).send(
                MESSAGE
            )
        assert time.monotonic() - began < 3


def test_a_topic_is_one_level_for_each_field():
    change = {"stream": "", "subject": "a\0b", "detector": "audio.hum", "severity": "info", "change": "closed"}
    assert topic_of("{stream}/{channel}/{area}/{detector}", change) == "_/a_b/audio/audio.hum"


def mail_sink(server, **fields):
    url = f"mailto://ann:hunter2@127.0.0.1:{server.port}/?from=jury@example.org&to=ops@example.org&mode=insecure"
    return {"type": "apprise", "url": url, **fields}


def test_mail_says_what_is_broken_in_one_message_and_counts_what_it_does_not_list(service, sink):
    with MailServer() as server:
        service.start(told_by("mail", mail_sink(server, changes_per_message=2, messages_per_minute=1, burst=1)))
        service.open("first")
        servers.eventually(lambda: server.mails, 20)
        # No second message is allowed for a minute; what happens meanwhile goes into one.
        for stream in ("a", "b", "c", "d"):
            service.open(stream)
        service.open("e", detector="audio.hum")
        service.close("a")
        time.sleep(0.5)
        assert len(server.mails) == 1
        batch = service.store.outbox.claim("mail", lease_seconds=30, most=1000)
        sender = AppriseSender("mail", sink(mail_sink(server, changes_per_message=2)))
        sender.send(Message.of(batch, None))
        service.store.outbox.delivered(batch)
    first, second = server.mails
    assert first["Subject"].startswith("avjury: critical: video.freeze on first since")
    assert second["Subject"] == "avjury: broken: 4 critical; over: 1"
    text = "".join(
        part.get_payload(decode=True).decode() for part in second.walk() if part.get_content_type() == "text/plain"
    ) or second.get_payload(decode=True).decode()  # fmt: skip
    assert "critical: video.freeze on b since" in text
    assert "and 3 more: 1 audio.hum, 2 video.freeze" in text or "and 3 more: 2 video.freeze, 1 audio.hum" in text
    assert "This is a test" not in text


def test_mail_that_is_refused_is_tried_again_and_no_word_shows_the_password(service, caplog):
    with MailServer(refuse=True) as server:
        service.start(told_by("mail", mail_sink(server, messages_per_minute=None)))
        service.open()
        servers.eventually(lambda: service.notifier.snapshot()["mail"].outcomes["failed"], 20)
        shown = f"{service.notifier.snapshot()['mail'].error} {caplog.text}"
        server.refuse = False
        assert service.settled() == {("mail", "delivered"): 1}
        assert len(server.mails) == 1
    assert "hunter2" not in shown
    assert "ann" not in shown.split()


def test_a_chat_that_apprise_posts_json_to_gets_the_text(sink):
    with Receiver() as receiver:
        url = receiver.url.replace("http://", "json://")
        sender = AppriseSender("chat", sink({"type": "apprise", "url": url}))
        sender.send(Message("msg_1", (sample(1000.0, "k"),), test=True, link="https://a.example/{id}"))
    [body] = receiver.bodies
    assert body["title"].startswith("avjury: TEST info: video.freeze on test")
    assert body["message"].startswith("This is a test")
    assert "https://a.example/0000000000000000" in body["message"]


def test_an_address_that_apprise_does_not_know_is_refused_without_showing_it(sink):
    with pytest.raises(ConfigError, match="does not know") as caught:
        AppriseSender("chat", sink({"type": "apprise", "url": "nonsense://hunter2"}))
    assert "hunter2" not in caught.value.line()


def test_alertmanagers_refusal_of_an_alert_is_final(sink):
    with Receiver(lambda number: 400) as receiver:
        sender = AlertmanagerSender("am", sink({"type": "alertmanager", "urls": [receiver.url]}), None)
        with pytest.raises(NotifyError) as caught:
            sender.send(MESSAGE)
        sender.close()
    assert caught.value.permanent
