"""What every sender has in common: it takes a message and says how it went."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import NotifyError
from engine.notify.message import Message


class Sender(ABC):
    """Delivers to one sink. Used by one thread; it may keep a connection open between messages.

    Args:
        name: of the sink.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def renew_seconds(self) -> float | None:
        """How often `renew` is to be called; None where the receiver forgets nothing."""
        return None

    @property
    def summarises(self) -> bool:
        """Whether a message may hold more changes than it lists, because people read it."""
        return False

    @abstractmethod
    def send(self, message: Message) -> str:
        """Deliver, within the sink's time limit.

        Returns: what the receiver answered, for people.
        Raises: NotifyError.
        """

    def renew(self, open_incidents: Sequence[Mapping[str, Any]]) -> None:
        """Tell again of what was told and still holds.

        Raises: NotifyError.
        """
        return

    def close(self) -> None:
        """Give connections back; called by the thread that sent."""
        return

    def failed(
        self,
        why: str,
        *,
        remedy: str,
        permanent: bool = False,
        divisible: bool = False,
        retry_after_seconds: float | None = None,
    ) -> NotifyError:
        """The error for an attempt that failed."""
        return NotifyError(
            "not delivered",
            stream=self.name,
            why=why,
            remedy=remedy,
            permanent=permanent,
            divisible=divisible,
            retry_after_seconds=retry_after_seconds,
        )
