"""When the seconds of streams were played: never before the second that came before."""

from typing import Final

# A clock that was put back by more than this was put right.
_MOST_BACK_SECONDS: Final = 60.0


class Played:
    """The last time told of each stream.

    A stream that is judged late has its seconds stamped late; where it then skips to now, what follows would lie
    before them.
    """

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def at(self, stream: str, at: float) -> float:
        """When a stream's next second was played.

        Args:
            stream: its id.
            at: Unix seconds, by how far the stream has gone on since.
        """
        last = self._last.get(stream, at)
        if last - _MOST_BACK_SECONDS < at < last:
            at = last
        self._last[stream] = at
        return at

    def forget(self, stream: str) -> None:
        """The stream is gone."""
        self._last.pop(stream, None)
