"""Errors that are kept hold nothing but what they say."""

from engine.errors import DecodeError, let_go_of_frames


def failed(what):
    raise ValueError(what)


def test_a_kept_error_holds_no_frame_nor_does_what_caused_it():
    try:
        failed("broken")
    except ValueError as error:
        kept = DecodeError("cannot go on", why="it is broken", remedy="none")  # was never raised itself
        kept.__cause__ = cause = error
    assert cause.__traceback__ is not None
    let_go_of_frames(kept)
    assert kept.__cause__ is cause
    assert (cause.__traceback__, str(cause)) == (None, "broken")


def test_errors_that_caused_each_other_are_no_endless_way():
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    let_go_of_frames(one)
    let_go_of_frames(None)
    assert (one.__cause__, other.__cause__) == (other, one)
