"""The one exception tree. Third-party errors are mapped to it where they enter, always `from exc`."""


class AvjuryError(Exception):
    """Something the user can act on: what failed, which stream, why, and what to do about it.

    Args:
        what: what failed, as a short noun phrase ("cannot open input").
        stream: the input or stream that it happened to; None where it concerns none.
        why: the reason, without secrets.
        remedy: what the user can do.
    """

    exit_code = 2  # wrong usage or configuration

    def __init__(self, what: str, *, why: str, remedy: str, stream: str | None = None) -> None:
        self.what = what
        self.stream = stream
        self.why = why
        self.remedy = remedy
        super().__init__(self.line())

    def line(self) -> str:
        """The message on one line: input, reason, remedy."""
        subject = f"{self.stream}: " if self.stream else ""
        return " ".join(f"{subject}{self.what}: {self.why}; {self.remedy}".split())


def let_go_of_frames(error: BaseException | None) -> None:
    """Forget where an error that is kept was raised, and what caused it.

    The frames that it came through hold everything that was at hand there, who keeps the error among it: such a circle
    is found only when Python searches for garbage, which it does ever more rarely.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


class ConfigError(AvjuryError):
    """The configuration or a command-line option is wrong."""


class SourceError(AvjuryError):
    """An input cannot be opened, is not allowed, or stopped being readable."""

    exit_code = 3


class DecodeError(AvjuryError):
    """An input was opened but nothing in it can be decoded."""

    exit_code = 3


class DeviceError(AvjuryError):
    """The asked-for device is not there or cannot be used."""


class CapacityError(AvjuryError):
    """No engine has room for one more stream.

    Args:
        headroom_streams: how many more average streams all engines together can take.
    """

    def __init__(
        self, what: str, *, why: str, remedy: str, stream: str | None = None, headroom_streams: int = 0
    ) -> None:
        self.headroom_streams = headroom_streams
        super().__init__(what, why=why, remedy=remedy, stream=stream)


class MeasureError(AvjuryError):
    """A kernel was handed something it cannot measure."""


class StoreError(AvjuryError):
    """What has to be kept cannot be kept or read."""


class NotOursError(StoreError):
    """What is to be kept is of a stream that another engine judges by now."""


class QueryError(StoreError):
    """A question to the store that cannot be answered: a cursor that is none, a filter that is not allowed."""


class NotifyError(AvjuryError):
    """Somebody could not be told.

    Args:
        permanent: trying the same again will not help.
        divisible: it is what the message holds that was refused; with less in it, it may be taken.
        retry_after_seconds: when the receiver wants to be tried again; None where it did not say.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        why: str,
        remedy: str,
        stream: str | None = None,
        permanent: bool = False,
        divisible: bool = False,
        retry_after_seconds: float | None = None,
    ) -> None:
        self.permanent = permanent
        self.divisible = divisible
        self.retry_after_seconds = retry_after_seconds
        super().__init__(what, why=why, remedy=remedy, stream=stream)


class PipeClosed(Exception):
    """Whoever read stdout has gone: nothing to tell, and nobody to tell it to."""
