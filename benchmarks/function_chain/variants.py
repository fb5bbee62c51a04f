"""Ways to build the chain: as the original was, without loss of picture, as lean as it could have been; and one that
gives up what the original was for, knowing within seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from engine.detectors import (
    Detector,
    audio,
    audio_channels,
    audio_events,
    audio_noise,
    damage,
    detector,
    motion,
    slate,
    texture,
    video,
)

Image = Literal["jpeg", "small", "lossless"]
_FAMILIES: Final[Mapping[str, tuple[Detector, ...]]] = {
    "picture": video.DETECTORS,
    "motion": motion.DETECTORS,
    "texture": texture.DETECTORS,
    "damage": (*damage.DETECTORS, *slate.DETECTORS),
    "sound": (*audio.DETECTORS, *audio_channels.DETECTORS, *audio_noise.DETECTORS, *audio_events.DETECTORS),
}
# A function per family of detectors, as avjury's own files part them.
BY_FAMILY: Final[Mapping[str, tuple[str, ...]]] = {
    name: tuple(declared.name for declared in family if not declared.optional) for name, family in _FAMILIES.items()
}
# As few as can be: every detector of pictures fetches and decodes them once together.
BY_TRACK: Final[Mapping[str, tuple[str, ...]]] = {
    "video": tuple(name for family, names in BY_FAMILY.items() if family != "sound" for name in names),
    "sound": BY_FAMILY["sound"],
}
ALL: Final[tuple[str, ...]] = tuple(name for names in BY_FAMILY.values() for name in names)


@dataclass(frozen=True, slots=True)
class Variant:
    """One way.

    Args:
        name: of this way.
        image: how pictures are encoded: JPEG at the best quality of libav's encoder (41 dB and more) or at a lower one
            of fewer bytes, or Ut Video, which takes a tenth of PNG's time.
        bundled: one object holds all pictures of a stream-second, instead of one object each.
        functions: names of the detectors of each detector function.
        results_in_store: detector functions write their results to the store; else they answer with them.
        summary: one line for the report.
        segment_seconds: of the stream that one execution judges.
    """

    name: str
    image: Image
    bundled: bool
    functions: Mapping[str, tuple[str, ...]]
    results_in_store: bool
    summary: str
    segment_seconds: int = 1

    @property
    def like_the_original(self) -> bool:
        """An execution for each second of a stream, so that what is wrong is known within seconds."""
        return self.segment_seconds == 1


VARIANTS: Final[Mapping[str, Variant]] = {
    variant.name: variant
    for variant in (
        Variant(
            "jpeg", "jpeg", False, BY_FAMILY, True, "as the original: a JPEG per picture, a function per family"
        ),
        Variant("small", "small", False, BY_FAMILY, True, "the same with JPEGs of lower quality (quantiser 8)"),
        Variant("lossless", "lossless", False, BY_FAMILY, True, "the same with pictures that lose nothing"),
        Variant(
            "lean", "lossless", True, BY_TRACK, False,
            "as lean as it gets: one object a second, one function for all pictures, results in the answers",
        ),
        Variant(
            "patient", "lossless", True, BY_TRACK, False,
            "leaner still, but late: the same with an execution for every five seconds instead of each",
            segment_seconds=5,
        ),
    )
}  # fmt: skip


def with_masters(names: Sequence[str]) -> tuple[str, ...]:
    """Detectors, and those that dominate them, which a function has to judge too, to know when to be silent."""
    found = list(names)
    for name in found:
        found += [master for master in detector(name).dominated_by if master not in found]
    return tuple(found)
