"""What a live playlist has to show before a source that was lost is opened again."""

import pytest

from engine.errors import SourceError
from engine.ingest.causes import cause_of
from engine.ingest.playlist_progress import PlaylistProgress


def playlist(first, names, end=False):
    entries = "".join(f"#EXTINF:1,\n{name}\n" for name in names)
    return f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:{first}\n{entries}{'#EXT-X-ENDLIST' if end else ''}".encode()


def seen(*bodies):
    progress = PlaylistProgress()
    look(progress, *bodies)
    return progress


def look(progress, *bodies):
    progress.begin()
    for body in bodies:
        progress.see(body)


def refused(progress):
    with pytest.raises(SourceError) as caught:
        progress.check("s")
    return cause_of(caught.value)


def test_the_same_newest_segment_is_no_news_whatever_its_token():
    progress = seen(playlist(1, ["a.ts?t=1", "b.ts?t=1"]))
    progress.lose()
    look(progress, playlist(1, ["a.ts?t=2", "b.ts?t=2"]))
    assert refused(progress) == "stalled_playlist"
    look(progress, playlist(2, ["b.ts?t=3", "c.ts?t=3"]))
    progress.check("s")


def test_names_that_come_again_are_news_where_the_numbers_go_on():
    progress = seen(playlist(1, ["a.ts", "b.ts"]))
    progress.lose()
    look(progress, playlist(3, ["a.ts", "b.ts"]))
    progress.check("s")


def test_an_encoder_that_counts_from_one_again_is_news():
    progress = seen(playlist(700, ["a700.ts", "a701.ts"]))
    progress.lose()
    look(progress, playlist(0, ["a0.ts"]))
    progress.check("s")


def test_one_variant_that_goes_on_is_enough():
    progress = seen(playlist(1, ["low1.ts"]), playlist(1, ["high1.ts"]))
    progress.lose()
    look(progress, playlist(1, ["low1.ts"]), playlist(2, ["high2.ts"]))
    progress.check("s")


def test_where_nobody_looked_at_the_loss_the_next_segment_is_news():
    progress = seen(playlist(1, ["a.ts"]))
    assert refused(progress) == "stalled_playlist"
    look(progress, playlist(2, ["b.ts"]))
    progress.check("s")


def test_a_playlist_that_says_it_is_over_is_over_and_not_watched_from_its_start():
    progress = seen(playlist(1, ["a.ts", "b.ts"]))
    progress.lose()
    look(progress, playlist(1, ["a.ts", "b.ts", "c.ts"], end=True))
    assert progress.ended
    assert refused(progress) == "ended"
