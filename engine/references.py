"""The earlier picture of each slot that the next one is compared with.

FFmpeg's freezedetect rule: a picture is compared with the last one that differed from its own reference by more than
the noise level, so that a slow drift cannot pass as a freeze. Whether a picture becomes the reference is therefore
known only after it was measured.

A coder that starts anew draws a picture that stands a little differently, so that freezedetect would see a freeze end
at every key picture; and in the second after motion has stopped it still improves what it had drawn of the last moving
picture. Such a picture becomes the reference, and counts as a repeat (`Stand`; decisions 0087 and 0098).

On the CPU the decoder's own frame is kept by reference. On a GPU the decoder wants its surface back: each slot has
two buffers, `frame_stats` copies the picture into the one that is not the reference in the same pass, and the roles
are swapped on the device, without the host knowing.
"""

import math
from typing import Any, Final, Protocol

import numpy as np
import torch
from torch import Tensor

from engine.media import FrameBatch, Surface
from kernels.layout import REFERENCE_FIELDS

_NONE: Final = (0,) * REFERENCE_FIELDS
# Key pictures of still content, noisy or coarsely coded, differ by two to ten times freezedetect's noise level from
# the one before; pictures of slow motion do as well, but then the next one differs too.
KEY_TIMES: Final = 12.0
# Of the noise level: between its key pictures a picture that is sent again and again hardly changes, while that of a
# camera that looks at an empty room does by a third and more; or it does not change any more, for so many pictures by
# no more than this each, while the camera's does by twice as much.
QUIET: Final = 0.25
STEADY: Final = 0.03
STEADY_PICTURES: Final = 8
# What a coder improves after motion of MOVED noise levels or more has stopped, within so many pictures: so many times,
# by so many noise levels. What differs by no more than that before anything repeats is the end of that motion, or
# improves its last picture already (decision 0148). A key picture that differs is no motion; but after one that has
# drawn a standing picture anew, so many pictures may improve it, which are predicted from another as well (B).
MOVED: Final = 2.5
SETTLING_PICTURES: Final = 32
SETTLING_TIMES: Final = 4
SETTLES: Final = 1.5
KEY_SETTLING: Final = 2


class References(Protocol):
    """What engine/measure asks of both."""

    def prepare(self, batch: FrameBatch) -> None:
        """Make room for these pictures, which `rows` and `update` will be about."""

    def rows(self, slots: Tensor) -> tuple[Tensor, Tensor]:
        """The reference rows and the retain rows of a batch, (N, REFERENCE_FIELDS) int64 on the device.

        Args:
            slots: (N,) int64 on the device: the batch's, and of rows without a picture those that nobody has.
        """

    def update(self, slots: Any, difference: Any, noise: Any, key: Any) -> None:
        """Take the measured pictures over as references where they differ.

        Args:
            slots: as for `rows`; on the host an array.
            difference: (N,) float64: `mafd`, NaN where there was no reference. On a GPU a tensor there, else an array.
                Of a picture drawn anew that counts as a repeat it becomes the noise level.
            key: (N,) float64, as `difference`: 1 for key pictures.
            noise: (S,) float64, as `difference`: the largest difference that still is a repeat, per slot.
        """

    def forget(self, slot: int) -> None:
        """The slot's next picture has no reference."""

    def kept(self, slot: int) -> Surface | None:
        """The slot's reference, where it is a picture of the decoder's that stays as long as somebody holds it."""


class Stand:
    """Whether a picture that differs from its reference still is the one that stands, drawn anew by the coder."""

    __slots__ = ("_last", "_room", "_since", "_steady")

    def __init__(self) -> None:
        # Difference of the last picture, and how many have had about the same since; pictures since the last that was
        # another one, and how many more of them may be drawn anew.
        self._last, self._steady, self._since, self._room = math.inf, 0, 0, 0

    def is_redrawn(self, apart: float, level: float, key: bool) -> bool:
        """Take the next picture.

        Args:
            apart: its difference from the reference; NaN where there is none.
            level: the largest that is a repeat.
            key: it is a key picture.
        Returns: whether it differs, and is the same picture all the same.
        """
        last, self._since = self._last, self._since + 1
        if apart <= level:
            self._steady = self._steady + 1 if abs(apart - last) <= STEADY * level else 0
            self._last = apart
            return False
        if last <= level:  # the last one was a repeat
            quiet = last <= QUIET * level or self._steady >= STEADY_PICTURES
            if key and quiet and apart <= KEY_TIMES * level:
                self._last = 0.0
                if not self._room or self._since > SETTLING_PICTURES - KEY_SETTLING:
                    self._since, self._room = SETTLING_PICTURES - KEY_SETTLING, KEY_SETTLING
                return True
            if self._room and self._since <= SETTLING_PICTURES and apart <= SETTLES * level:
                self._last, self._steady, self._room = 0.0, 0, self._room - 1
                return True
        self._last, self._steady = apart, 0
        if key or not apart <= SETTLES * level:  # NaN too
            self._since, self._room = 0, SETTLING_TIMES if apart >= MOVED * level and not key else 0
        return False


class HostReferences:
    """Keeps the decoder's frames alive.

    Args:
        slots: number of slots.
    """

    def __init__(self, slots: int) -> None:
        self._kept: list[tuple[Surface, tuple[int, ...]] | None] = [None] * slots  # with its geometry
        self._keep_nothing = torch.zeros((0, REFERENCE_FIELDS), dtype=torch.int64)
        self._batch: FrameBatch | None = None  # at hand
        self._stands = [Stand() for _ in range(slots)]
        self.changes = np.zeros(slots, np.int64)
        """How often the reference of each slot has changed."""

    def prepare(self, batch: FrameBatch) -> None:
        self._batch = batch

    def rows(self, slots: Tensor) -> tuple[Tensor, Tensor]:
        batch = self._batch
        assert batch is not None  # it was prepared
        n = len(batch.surfaces)
        if self._keep_nothing.shape[0] != n:
            self._keep_nothing = torch.zeros((n, REFERENCE_FIELDS), dtype=torch.int64)
        rows = []
        for surface, slot in zip(batch.surfaces, batch.numbers, strict=True):
            kept, geometry = self._kept[slot] or (surface, None)
            same = geometry == surface.geometry
            rows.append((*kept.addresses, kept.luma_pitch, kept.chroma_pitch) if same else _NONE)
        return torch.from_numpy(np.array(rows, np.int64)), self._keep_nothing

    def update(self, slots: Any, difference: Any, noise: Any, key: Any) -> None:
        batch, self._batch = self._batch, None
        assert batch is not None
        for row, (slot, apart) in enumerate(zip(batch.numbers, difference.tolist(), strict=True)):
            level = float(noise[slot])
            # `not <=` instead of `>`: NaN, where there was nothing to compare with, makes the picture the reference.
            if not apart <= level:
                self._kept[slot] = batch.surfaces[row], batch.surfaces[row].geometry
                self.changes[slot] += 1
            if self._stands[slot].is_redrawn(apart, level, key[row] != 0):
                difference[row] = level

    def forget(self, slot: int) -> None:
        self._kept[slot], self._stands[slot] = None, Stand()

    def kept(self, slot: int) -> Surface | None:
        kept = self._kept[slot]
        return None if kept is None else kept[0]


class DeviceReferences:
    """Two device buffers per slot.

    Args:
        slots: number of slots.
        device: the GPU.
    """

    def __init__(self, slots: int, device: torch.device) -> None:
        self._device = device
        self._buffers: list[Tensor | None] = [None] * slots
        self._geometry: list[tuple[int, ...] | None] = [None] * slots
        # Host table of both buffers' rows, uploaded when a slot's geometry changes.
        self._host_rows = torch.zeros((slots, 2, REFERENCE_FIELDS), dtype=torch.int64)
        self._rows = self._host_rows.to(device)
        self._which = torch.zeros(slots, dtype=torch.int64, device=device)  # the buffer that is the reference
        self._has = torch.zeros(slots, dtype=torch.bool, device=device)
        # As `Stand` has them: difference of the last picture; steady, since, room.
        self._last = torch.full((slots,), torch.inf, dtype=torch.float64, device=device)
        self._counts = torch.zeros((3, slots), dtype=torch.int64, device=device)

    def prepare(self, batch: FrameBatch) -> None:
        changed = []
        for surface, slot in zip(batch.surfaces, batch.numbers, strict=True):
            if self._geometry[slot] != surface.geometry:
                self._allocate(slot, surface)
                changed.append(slot)
        if changed:
            index = torch.tensor(changed)
            on_device = index.to(self._device)
            self._rows[on_device] = self._host_rows[index].to(self._device)
            self._has[on_device] = False

    def rows(self, slots: Tensor) -> tuple[Tensor, Tensor]:
        which = self._which[slots]
        references = self._rows[slots, which] * self._has[slots, None]
        return references, self._rows[slots, 1 - which]

    def update(self, slots: Any, difference: Any, noise: Any, key: Any) -> None:
        level = noise[slots]
        changed = ~(difference <= level)
        self._which[slots] = torch.where(changed, 1 - self._which[slots], self._which[slots])
        redrawn = self._redrawn(slots, difference, level, key != 0)
        difference.copy_(torch.where(redrawn, level, difference))
        self._has.index_fill_(0, slots, True)

    def forget(self, slot: int) -> None:
        self._geometry[slot] = None
        self._buffers[slot] = None
        self._has[slot] = False
        self._last[slot], self._counts[:, slot] = torch.inf, 0

    def kept(self, slot: int) -> Surface | None:
        return None

    def _redrawn(self, slots: Tensor, apart: Tensor, level: Tensor, key: Tensor) -> Tensor:
        """(N,) bool: `Stand.is_redrawn` of each row."""
        last, (steady, since, room) = self._last[slots], self._counts[:, slots]
        since = since + 1
        repeats = apart <= level
        more = torch.where(abs(apart - last) <= STEADY * level, steady + 1, 0)
        quiet = (last <= QUIET * level) | (steady >= STEADY_PICTURES)
        follows = ~repeats & (last <= level)
        at_key = follows & key & quiet & (apart <= KEY_TIMES * level)
        settles = follows & ~at_key & (room > 0) & (since <= SETTLING_PICTURES) & (apart <= SETTLES * level)
        redrawn: Tensor = at_key | settles
        other = ~repeats & ~redrawn & (key | ~(apart <= SETTLES * level))  # NaN too
        self._last[slots] = torch.where(redrawn, 0.0, apart)
        fresh = torch.where((apart >= MOVED * level) & ~key, SETTLING_TIMES, 0)
        anew = at_key & ((room == 0) | (since > SETTLING_PICTURES - KEY_SETTLING))
        counts = (
            torch.where(repeats, more, torch.where(at_key, steady, 0)),
            torch.where(other, 0, torch.where(anew, SETTLING_PICTURES - KEY_SETTLING, since)),
            torch.where(other, fresh, torch.where(anew, KEY_SETTLING, room - settles.to(torch.int64))),
        )
        self._counts[:, slots] = torch.stack(counts)
        return redrawn

    def _allocate(self, slot: int, surface: Surface) -> None:
        """Both buffers of a slot in one allocation, rows padded so that every one starts at a 128-bit boundary."""
        sample = 1 if surface.bit_depth == 8 else 2
        luma_pitch = _aligned(surface.width * sample)
        chroma_pitch = _aligned(surface.chroma_width * surface.chroma_step * sample)
        luma_bytes = luma_pitch * surface.height
        planes = 0 if not surface.chroma_width else 1 if surface.chroma_step == 2 else 2
        chroma_bytes = chroma_pitch * surface.chroma_height
        size = luma_bytes + planes * chroma_bytes
        buffer = torch.empty(2 * size, dtype=torch.uint8, device=self._device)
        self._buffers[slot] = buffer
        self._geometry[slot] = surface.geometry
        for half in range(2):
            luma = buffer.data_ptr() + half * size
            u = luma + luma_bytes if planes else 0
            v = u + chroma_bytes if planes == 2 else u + sample if planes else 0
            self._host_rows[slot, half] = torch.tensor([luma, u, v, luma_pitch, chroma_pitch])


def _aligned(size: int) -> int:
    """`size` rounded up to 128 bytes, a full line of the L2 cache."""
    return (size + 127) // 128 * 128
