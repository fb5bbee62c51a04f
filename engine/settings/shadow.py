"""A profile that is tried beside the one that counts."""

from typing import Annotated

from pydantic import Field

from engine.settings.section import Section


class ShadowSection(Section):
    """A profile that is tried on live streams beside their own: it finds, and nobody is told."""

    profile: Annotated[str | None, Field(description="its name; null tries none")] = None
    streams: Annotated[
        list[str], Field(min_length=1, max_length=1000, description="on which it is tried: ids or patterns as news*")
    ] = Field(default_factory=lambda: ["*"])
