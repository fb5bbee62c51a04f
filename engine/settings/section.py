"""What every section of the configuration has in common."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# YAML has no paths: the text of one is what a strict model would refuse.
FilePath = Annotated[Path, Field(strict=False)]


class Section(BaseModel):
    """Unknown keys, values of another type, NaN and infinity are errors; nothing changes once it is read."""

    # What was written may be a password in the wrong place: no traceback shows it.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, hide_input_in_errors=True)
