"""What a caller of the service can do wrong besides what everybody can."""

from engine.errors import AvjuryError


class NotFoundError(AvjuryError):
    """There is nothing of that name."""


class ConflictError(AvjuryError):
    """What is there does not allow it."""


class AccessError(AvjuryError):
    """Who calls may not do it.

    Args:
        known: who it is was said, and is known; else a token is missing or wrong.
    """

    def __init__(self, what: str, *, why: str, remedy: str, known: bool) -> None:
        self.known = known
        super().__init__(what, why=why, remedy=remedy)


class BusyError(AvjuryError):
    """Not now."""
