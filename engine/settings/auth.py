"""Who may call the API."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from engine.settings.section import Section

Role = Literal["viewer", "operator", "admin"]


class Token(Section):
    """One bearer token.

    Args:
        name: who it belongs to; shown beside what was done with it.
        role: viewer reads; operator also changes streams and incidents; admin also reloads the configuration.
        token: itself, or
        token_sha256: its SHA-256 in hexadecimal, so that the file holds no secret.
    """

    name: Annotated[str, Field(pattern=r"^[\w.@-]{1,100}$", description="letters, digits, _ . @ -")]
    role: Role = "viewer"
    token: Annotated[SecretStr | None, Field(min_length=1)] = None
    token_sha256: Annotated[str | None, Field(pattern=r"^[0-9A-Fa-f]{64}$", description="64 hexadecimal digits")] = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "Token":
        if (self.token is None) == (self.token_sha256 is None):
            raise ValueError("write either token or token_sha256")
        return self


class AuthSection(Section):
    """Who may call the API. Without any token it is open, and listens on loopback only."""

    token: Annotated[SecretStr | None, Field(min_length=1, description="the admin's token")] = None
    tokens: list[Token] = Field(default_factory=list)
    failures_per_minute: Annotated[
        float,
        Field(ge=0, le=10_000, description="wrong tokens of one address, before it has to wait; 0 for any number"),
    ] = 30.0
