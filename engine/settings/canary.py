"""A channel of the service's own, into which known defects are planted."""

from typing import Annotated, Final

from pydantic import Field, field_validator

from engine.settings.section import Section

# No stream of the operator's may have this id.
CANARY: Final = "(canary)"
# What the canary can plant; engine/canary_source.py says how.
PLANTABLE: Final = (
    "video.black",
    "audio.silence",
    "video.freeze",
    "audio.clipping",
    "video.bars",
    "audio.channel_lost",
    "stream.continuity",
    "stream.stall",
)


class CanarySection(Section):
    """A channel of the service's own, into which known defects are planted: the monitor that monitors itself."""

    enabled: Annotated[bool, Field(description="judge it beside the channels")] = False
    every_seconds: Annotated[
        float,
        Field(ge=32, le=86_400, description="from one planted defect to the next; rounded up to whole loops of 32 s"),
    ] = 64.0
    detectors: Annotated[
        list[str], Field(min_length=1, description=f"whose defects are planted in turn: {', '.join(PLANTABLE)}")
    ] = Field(default_factory=lambda: list(PLANTABLE))
    wait_seconds: Annotated[
        float, Field(ge=1, le=600, description="a defect that is not told so long after it ended was missed")
    ] = 10.0

    @field_validator("detectors")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        unknown = [name for name in names if name not in PLANTABLE]
        if unknown:
            raise ValueError(f"{unknown[0][:100]!r} cannot be planted; there are {', '.join(PLANTABLE)}")
        return names
