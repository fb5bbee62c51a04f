"""Configuration: what wins over what, and what a mistake is answered with."""

from pathlib import Path

import pytest

from engine.config import load, parse_selection, select
from engine.errors import ConfigError

KNOWN = {"video.freeze": ["noise", "duration"], "video.blur": ["threshold"], "audio.silence": ["noise"]}


def accept(name, values):
    """Any parameters will do."""


def written(folder, text, environment=None):
    path = folder / "c.yaml"
    path.write_text(text)
    return load(path, KNOWN, accept, environment or {})


def test_the_special_wins_over_the_general(tmp_path):
    config = written(
        tmp_path,
        """
detectors:
  "video.*": false
  video.freeze: {duration: 5}
profiles:
  news: {detectors: {video.freeze: {noise: 0.01}, audio.silence: false}}
streams:
  - {id: one, url: a.ts, profile: news, detectors: {video.freeze: {duration: 3}}}
  - {id: two, url: b.ts}
""",
    )
    one, two = config.streams
    assert select(list(KNOWN), config.tables(one)) == {"video.freeze": {"duration": 3, "noise": 0.01}}
    assert select(list(KNOWN), config.tables(two)) == {"video.freeze": {"duration": 5}, "audio.silence": {}}


def test_the_environment_wins_over_the_file(tmp_path):
    text = "engine: {device: cuda, max_batch: 8}\n"
    config = written(tmp_path, text, {"AVJURY_ENGINE__DEVICE": "cpu", "AVJURY_MEDIA": "/x", "HOME": "/"})
    assert (config.engine.device, config.engine.max_batch) == ("cpu", 8)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("engine:\n  max_batch: many\n", "line 2", "max_batch"),
        ("engine:\n  max_batch: 0\n", "line 2", "max_batch"),
        ("detectors:\n  video.blurr: true\n", "line 2", "video.blur"),
        ("streams:\n  - id: one\n    url: a.ts\n    profile: none\n", "line 4", "profile"),
        ("streams:\n  - id: one\n", "line 2", "url"),
        ("streams:\n  - id: one\n    ulr: a.ts\n", "line 3", "did you mean 'url'"),
        ("detectors:\n  video.black:\n    black_min_duration: .nan\n", "line 3", "nan is not a finite number"),
        ("detectors:\n  video.black:\n    black_min_duration: [1]\n", "line 3", "[video.black].black_min_duration"),
        (
            "streams:\n  - {id: one, url: a.ts}\n  - id: two\n    url: b.ts\n    reference: ones\n",
            "line 5",
            "did you mean",
        ),
        ("streams:\n  - id: one\n    url: a.ts\n    reference: one\n", "line 4", "its own reference"),
        (
            "streams:\n  - {id: one, url: a.ts, group: x}\n  - {id: two, url: b.ts, group: y, reference: one}\n",
            "line 3",
            "judged by one engine",
        ),
        ("engine: [1\n", "line", ""),
        ("notify:\n  sinks:\n    a:\n      type: webhok\n", "line 4", "webhook, sns"),
        ("notify:\n  sinks:\n    a:\n      type: sns\n      topic: x\n", "line 5", "did you mean 'topic_arn'"),
        (
            "notify:\n  sinks:\n    a:\n      type: mqtt\n      host: h\n      topik: x\n",
            "line 6",
            "did you mean 'topic'",
        ),
        ("notify:\n  routes:\n    - sinks: [b]\n", "line 2", "there is no sink 'b'"),
        ("notify:\n  routes:\n    - sinks: []\n      severity: bad\n", "line 4", "critical"),
        ("notify:\n  routes:\n    - sinks: []\n      detectors: [1]\n", "line 4", "valid string"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_key(tmp_path, text, line, said):
    with pytest.raises(ConfigError) as caught:
        written(tmp_path, text)
    told = caught.value.line()
    assert line in told
    assert said in told
    assert caught.value.exit_code == 2


def test_selections_switch_the_rest_off_only_where_something_is_switched_on():
    assert set(select(list(KNOWN), [parse_selection("video.*,-video.blur", list(KNOWN))])) == {"video.freeze"}
    assert set(select(list(KNOWN), [parse_selection("-video.blur", list(KNOWN))])) == {"video.freeze", "audio.silence"}
    with pytest.raises(ConfigError, match="unknown detector"):
        parse_selection("video.blurr", list(KNOWN))


@pytest.mark.parametrize(
    "line",
    [
        "url: 5hunter2",
        "url: 524287913",
        "url: 'http://x/'\n      secrets: [hunter2]",
        "url: 'http://x/'\n      headers: {a: 524287913}",
        "url: 'http://x/'\n      secret: hunter2",
    ],
)
def test_a_secret_in_the_wrong_place_is_not_shown(tmp_path, line):
    with pytest.raises(ConfigError) as caught:
        written(tmp_path, f"notify:\n  sinks:\n    a:\n      type: webhook\n      {line}\n")
    shown = f"{caught.value.line()} {caught.value.__cause__}"
    assert "hunter2" not in shown
    assert "524287913" not in caught.value.line()


@pytest.mark.parametrize(
    "text", ["storage: {database: ['postgre://u:hunter2@h/x']}", "storage:\n  options: {secret_access_key: 524287913}"]
)
def test_a_password_where_plain_text_is_expected_is_not_shown(tmp_path, text):
    with pytest.raises(ConfigError) as caught:
        written(tmp_path, text)
    assert "hunter2" not in caught.value.line()
    assert "524287913" not in caught.value.line()


def test_a_token_is_text_whatever_it_looks_like(tmp_path):
    for token in ("0123", "true", "null", "a: b", "[x", "'quoted'"):
        config = written(tmp_path, "", {"AVJURY_AUTH__TOKEN": token})
        assert config.auth.token.get_secret_value() == token


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("auth: {token: 52525252}\n", "auth.token"),
        ("auth:\n  tokens:\n    - {name: a, token: [hunter2]}\n", "line 3"),
        ("auth:\n  tokens:\n    - {name: a, role: boss, token: hunter2}\n", "'viewer', 'operator' or 'admin'"),
        ("auth:\n  tokens:\n    - {name: a, tokn: hunter2}\n", "did you mean 'token'"),
        ("streams:\n  - {id: a, url: ['http://u:hunter2@h/']}\n", "streams[0].url"),
        ("storage: {database: ['mysql://u:hunter2@h/x']}\n", "storage.database"),
        ("storage: {options: {secret_access_key: 52525252}}\n", "secret_access_key"),
    ],
)
def test_a_wrong_secret_is_not_repeated(tmp_path, text, said):
    with pytest.raises(ConfigError) as caught:
        written(tmp_path, text)
    assert said in caught.value.line()
    assert "hunter2" not in caught.value.line()
    assert "52525252" not in caught.value.line()


@pytest.mark.parametrize("name", ["<b>", "a/b", "../x", ".hidden", "", "a\\nb", "a" * 201, "-x", " x"])
def test_names_that_could_be_something_else_are_refused(tmp_path, name):
    with pytest.raises(ConfigError, match=r"streams\[0\]\.id"):
        written(tmp_path, f'streams:\n  - {{id: "{name}", url: a.ts}}\n')


def test_names_may_be_words_of_any_language(tmp_path):
    [stream] = written(tmp_path, 'streams:\n  - {id: "Första kanalen (HD) #2", url: a.ts}\n').streams
    assert stream.id == "Första kanalen (HD) #2"


def test_files_are_named_as_text_and_nothing_else(tmp_path):
    text = """
engine:
  network: {weights: mine.safetensors}
  audio_network: {weights: heard.safetensors}
  sync_network: {weights: lips.safetensors}
cluster: {folder: /var/lib/avjury}
"""
    config = written(tmp_path, text)
    assert config.engine.network.weights == Path("mine.safetensors")
    assert config.engine.audio_network.weights == Path("heard.safetensors")
    assert config.engine.sync_network.weights == Path("lips.safetensors")
    assert config.cluster.folder == Path("/var/lib/avjury")
    over = written(tmp_path, text, {"AVJURY_ENGINE__NETWORK__WEIGHTS": "other.safetensors"})
    assert over.engine.network.weights == Path("other.safetensors")
    for wrong in ("5", "[a]", "true"):
        with pytest.raises(ConfigError, match=r"engine\.network\.weights"):
            written(tmp_path, f"engine: {{network: {{weights: {wrong}}}}}")


def test_whole_pictures_need_enough_looks(tmp_path):
    asked = "engine: {network: {whole_pictures: true, pictures_per_second: %s}}"
    assert written(tmp_path, asked % 8).engine.network.whole_pictures
    with pytest.raises(ConfigError, match=r"pictures_per_second of 8 at least, not 7\.9"):
        written(tmp_path, asked % 7.9)
