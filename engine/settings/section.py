"""What every section of the configuration has in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Unknown keys, values of another type, NaN and infinity are errors; nothing changes once it is read."""

    # What was written may be a password in the wrong place: no traceback shows it.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, hide_input_in_errors=True)
