"""Slates: pictures that a stream shows when there is nothing else to show, and that are to be told when they come."""

from typing import Annotated

from pydantic import Field, model_validator

from engine.settings.section import Section


class Slate(Section):
    """One picture to look for, by an image of it or by the hash that `avjury slate IMAGE` prints."""

    image: Annotated[str | None, Field(min_length=1, description="path of an image, or of a clip's first picture")] = (
        None
    )
    hash: Annotated[str | None, Field(min_length=1, description="what `avjury slate IMAGE` prints")] = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "Slate":
        if (self.image is None) == (self.hash is None):
            raise ValueError("a slate has an image or a hash, and not both")
        return self
