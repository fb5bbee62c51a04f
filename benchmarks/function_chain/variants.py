"""Ways to build the chain: as the original was, without loss of picture, and as lean as it could have been."""

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

Image = Literal["jpeg", "lossless"]
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
        image: how pictures are encoded: JPEG at the best quality of libav's encoder (41 dB and more), or Ut Video,
            which takes a tenth of PNG's time.
        bundled: one object holds all pictures of a stream-second, instead of one object each.
        functions: names of the detectors of each detector function.
        results_in_store: detector functions write their results to the store; else they answer with them.
        summary: one line for the report.
    """

    name: str
    image: Image
    bundled: bool
    functions: Mapping[str, tuple[str, ...]]
    results_in_store: bool
    summary: str


VARIANTS: Final[Mapping[str, Variant]] = {
    variant.name: variant
    for variant in (
        Variant(
            "jpeg", "jpeg", False, BY_FAMILY, True, "as the original: a JPEG per picture, a function per family"
        ),
        Variant("lossless", "lossless", False, BY_FAMILY, True, "the same with pictures that lose nothing"),
        Variant(
            "lean", "lossless", True, BY_TRACK, False,
            "as lean as it gets: one object a second, one function for all pictures, results in the answers",
        ),
    )
}  # fmt: skip


def with_masters(names: Sequence[str]) -> tuple[str, ...]:
    """Detectors, and those that dominate them, which a function has to judge too, to know when to be silent."""
    found = list(names)
    for name in found:
        found += [master for master in detector(name).dominated_by if master not in found]
    return tuple(found)
