"""What is held, moved and let go of when something comes after a silence that was told."""

import time

from engine.ingest.after_silence import AfterSilence


class Told:
    """A silence that was told until packets go on."""

    def __init__(self, at):
        self.at = at

    def __call__(self):
        return self.at


def take_all(silence, times, told):
    out, moved = [], 0.0
    for at in times:
        given, late = silence.take(at + moved)
        moved += late
        out += [round(one + late, 3) for one in given]
        if given:
            told.at = None
        time.sleep(0.05)
    return out


def test_without_a_silence_each_packet_goes_on_at_once():
    silence = AfterSilence(lambda: None, lambda at: at)
    assert silence.take(3.0) == ([3.0], 0.0)
    assert AfterSilence(None, lambda at: at).take(1.0) == ([1.0], 0.0)


def test_a_sender_that_was_paused_goes_on_where_the_clock_is():
    told = Told(30.0)
    silence = AfterSilence(told, lambda at: at)
    out = take_all(silence, [10.0 + 0.04 * n for n in range(9)], told)
    assert out == [round(30.0 + 0.04 * n, 3) for n in range(9)]


def test_a_clock_that_ran_on_is_believed():
    told = Told(30.0)
    silence = AfterSilence(told, lambda at: at)
    assert take_all(silence, [30.4, 30.44, 30.48, 30.52, 30.56, 30.6], told)[0] == 30.4


def test_what_a_connection_still_held_at_its_end_is_let_go():
    silence = AfterSilence(Told(30.0), lambda at: at)
    assert silence.take(10.0) == ([], 0.0)
    assert silence.take(10.02) == ([], 0.0)
