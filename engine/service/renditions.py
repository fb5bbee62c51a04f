"""One channel, all its renditions: the streams that a stream with `rendition: all` stands for.

The stream itself is judged as the best rendition. What else its master playlist or manifest offers, as the process that
reads it says, is judged as further streams, its parts: the same in all but their id and what is chosen.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from engine.service.desired import Wanted
from engine.store.records import StreamRecord

ALL: Final = "all"
_MOST_ID: Final = 200


def part_id(parent: str, rule: str) -> str:
    """The id of a part: "news@720p", or "news@720p-2500k" where several have that height.

    Args:
        parent: id of the stream that it is a part of.
        rule: that chooses it; see ingest/renditions.py.
    """
    height, _, rate = rule.partition("@")
    return f"{parent}@{height}p" + (f"-{rate}k" if rate else "")


def part(parent: Wanted, rule: str) -> Wanted:
    """The part that a rule chooses."""
    name = part_id(parent.stream.id, rule)
    channel = parent.stream.channel or parent.stream.id
    return replace(
        parent,
        stream=parent.stream.model_copy(update={"id": name, "channel": channel, "rendition": rule}),
        plan=replace(parent.plan, id=name, rendition=rule),
        part_of=parent.stream.id,
    )


def parts_of(parent: Wanted, offered: Iterable[str]) -> dict[str, Wanted]:
    """All that a source offers besides what the stream itself is judged by, by id.

    Args:
        offered: rules of the renditions, that of the stream's own first.
    """
    made = [part(parent, rule) for rule in tuple(offered)[1:]]
    return {one.stream.id: one for one in made if len(one.stream.id) <= _MOST_ID}


def parents(kept: Mapping[str, StreamRecord]) -> dict[str, str]:
    """Of the streams that were kept those that are parts, and of which stream."""
    by_id = {}
    for record in kept.values():
        parent = record.id.rpartition("@")[0]
        if parent in kept and record.id == part_id(parent, record.rendition):
            by_id[record.id] = parent
    return by_id
