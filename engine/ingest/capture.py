"""Capture devices of this machine, as libav opens them: `v4l2:/dev/video0`, `alsa:hw:0`."""

import os
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from engine.errors import SourceError
from engine.ingest.url_policy import scheme_of

_ALSA_CONFIGURATION: Final = "/usr/share/alsa/alsa.conf"
_NAME: Final = re.compile(r"[\w.:,=/@-]{1,200}")


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of device.

    Args:
        form: libav's name of what reads it.
        options: of libav's that may be set.
    """

    form: str
    options: frozenset[str]


_KINDS: Final = {
    "alsa": _Kind("alsa", frozenset(("channels", "sample_rate"))),
    "v4l2": _Kind(
        "video4linux2,v4l2",
        frozenset(("video_size", "framerate", "input_format", "pixel_format", "channel", "standard")),
    ),
}


def device_options(url: str, stream: str) -> tuple[str, str, dict[str, str]]:
    """How libav opens a capture device.

    Args:
        url: `v4l2:/dev/video0?video_size=1280x720&framerate=30`, `alsa:hw:0?channels=2`.
        stream: the stream's id, for errors.
    Returns: its name there, what reads it, and options.
    Raises: SourceError.
    """
    scheme = scheme_of(url)
    kind = _KINDS[scheme]
    name, _, query = url.partition(":")[2].partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(options.keys() - kind.options)
    if unknown or not _NAME.fullmatch(name):
        raise SourceError(
            "cannot open input",
            stream=stream,
            why=f"unknown option {unknown[0]}" if unknown else "it names no device",
            remedy=f"write {scheme}:NAME?OPTION=VALUE with {', '.join(sorted(kind.options))}",
        )
    if scheme == "alsa":
        _configure_alsa(stream)
    return name, kind.form.split(",")[0], {**options, "format_whitelist": kind.form}


def _configure_alsa(stream: str) -> None:
    """Name ALSA's configuration, which may name code to load.

    The libasound of PyAV's wheels looks for it where they were built, in a place that all may write to.
    """
    if "ALSA_CONFIG_PATH" not in os.environ and not os.path.exists(_ALSA_CONFIGURATION):
        raise SourceError(
            "cannot open input",
            stream=stream,
            why=f"this machine has no {_ALSA_CONFIGURATION}",
            remedy="install ALSA's configuration (Debian: libasound2-data)",
        )
    os.environ.setdefault("ALSA_CONFIG_PATH", _ALSA_CONFIGURATION)
