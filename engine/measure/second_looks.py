"""A second opinion on blocks that are torn a little: where they are, the artifact network looks too (decision 0155).

Torn blocks that are too few to be told of by themselves, even two of them, make their stream ask. Of the second picture
after it the network looks at the pieces around what had changed most where blocks were last torn; where it is sure of
enough tiles, in as many looks as its weights say that did not see the same, the stream is corrupt. The network alone
would raise false alarms, as it looks at so much; so would fewer torn blocks. Both together hardly do. Where they were
blocks of the grid that pictures had before they were scaled (scaled_blocks.py), it sees the pieces scaled back.

Torn blocks that are enough wait until it has seen something there too, or they have lasted, as letters, snow and dots
look torn (decision 0158). What the decoder says waits for nobody.

Streams seldom ask, and each has a credit of looks, so that none that looks torn all the time is looked at all the time.
Which picture is looked at, and where, depends on nothing but its stream. It is the second one because of GPUs: who asks
crosses to the host with the judge's counts, which are read when the batch after that one is under way; so nobody waits.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from engine.measure.arithmetic import Arithmetic
from engine.measure.columns import place
from engine.measure.damage import LEAST_SHARE, BlockEvidence
from engine.measure.places import inside, places_of_change
from engine.measure.rows import Fact, Rows
from engine.measure.scaled_back import scaled_back
from engine.measure.scaled_blocks import coded_size
from engine.media import FrameBatch, Surface
from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field
from kernels.tile_stats import MEASURES, TILE_COLUMNS, TILE_ROWS, TILES
from models.artifact_net import TILE
from models.artifact_weights import SecondPoint

# Doubt of torn blocks from which on a stream asks, which is for eight tenths of a second; unless evidence is enough.
ASKS: Final = 0.2
ENOUGH: Final = 1.0
# Torn blocks without the decoder's word, which is less than this part of their evidence, count only where the network
# sees one damaged tile within so long before or after them: one of the point's probability, or, where they came to this
# evidence, one of which it has a doubt at least. Of clean pictures letters that creep on black have an evidence of 1.65
# and no tile of more than 0.16, snow that a film cuts to has 3 and 0.1; of damaged streams each had a tile of 0.77 in
# the four pictures from the torn one on. Damage that the network knows nothing of is told once it has lasted.
SAID_BY_DECODER: Final = 0.1
CONSENT_SECONDS: Final = 0.5
MANY: Final = 2.0
DOUBTED_TILE: Final = 0.2
PATIENCE_SECONDS: Final = 1.0
# What a picture's stream asks for, if it does: pieces of it as it is, scaled back, or both.
ASKS_AS_IT_IS: Final = 1
ASKS_AS_CODED: Final = 2
# It waits for consent: no credit is needed.
ASKS_CONSENT: Final = 4
# So many pictures later it is looked at: what is asked in one batch is known on the host before the second one after.
AHEAD: Final = 2
# Pieces of a picture that is looked at for a second time.
PIECES: Final = 4
# Looks that a stream may have in a row, and that it gains each second; and how far apart they are, as the picture after
# one that was looked at shows the same.
MOST_LOOKS: Final = 4.0
LOOKS_PER_SECOND: Final = 1.0
APART_SECONDS: Final = 0.2
# What was seen holds as long as the evidence of torn blocks.
HOLD_SECONDS: Final = 0.5
# Looks that are no further apart than this agree, unless they saw the same: of a picture that stands the network says
# again what it said. They did where as many tiles are as probable as each of these, all of them counted together.
AGREE_SECONDS: Final = 1.0
SEEN_LEVELS: Final = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
# A stream's next picture is not its next one any more behind a gap.
GAP_SECONDS: Final = 1.0

_EARLY: Final = 1e-6
_CORRUPTION: Final = place("corruption")
_BROKEN_COLOUR: Final = place("broken_colour")
_BROKEN_SINCE: Final = place("broken_since")
_DIFFERENCE: Final = MEASURES.index("difference")

Said = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""What the network says of pieces: of rows of pictures and of those before them, corners, and ranges; see `Network`."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A picture whose stream asks.

    Args:
        number: of the picture, counted in its stream.
        pts: of it.
        size: its rows and columns.
        asks: ASKS_AS_IT_IS, ASKS_AS_CODED and ASKS_CONSENT, added up.
    """

    number: int
    pts: float
    size: tuple[int, int]
    asks: int


class SecondLooks:
    """Who asks, what is looked at because of it, and what is told.

    Args:
        arithmetic: of the device.
        slots: number of slots.
        said: by the network.
        point: from where on it is sure; None: nobody has measured it, and nobody is looked at.
    """

    def __init__(self, arithmetic: Arithmetic, slots: int, said: Said, point: SecondPoint | None) -> None:
        self._arithmetic, self._said, self._point = arithmetic, said, point
        device = arithmetic.device
        self._wanted: set[int] = set()
        self._looking = True
        self._source: dict[int, tuple[float, float]] = {}  # by slot: width and height before a scaler, as it was told
        self._number = [0] * slots  # of each slot's last picture
        self._asked: dict[int, _Asked] = {}  # by slot
        self._done = [0] * slots  # the last picture that was asked for; who asked before it is not heard any more
        self._credit, self._credited = [MOST_LOOKS] * slots, [-np.inf] * slots
        self._looked = [-np.inf] * slots  # media time of the last look
        # Of the last picture of each slot that was torn: how much of each part had changed.
        self._change = torch.zeros((slots, TILES), dtype=torch.float64, device=device)
        self._told, self._until = arithmetic.column(slots), arithmetic.column(slots, -torch.inf)
        # Looks that were sure one after the other, and when the last of them was.
        self._run, self._sure_at = arithmetic.column(slots), arithmetic.column(slots, -torch.inf)
        # What that one saw, by SEEN_LEVELS.
        self._seen = arithmetic.column(slots, torch.nan)
        # Consent: whose is needed; whether anybody looks, under load; when a look last saw a damaged tile, and one of
        # which it had a doubt.
        self._needs, self._looks = arithmetic.column(slots), arithmetic.column(1, 1.0)
        self._saw, self._doubted = arithmetic.column(slots, -torch.inf), arithmetic.column(slots, -torch.inf)
        # For as long as there is evidence: whether no consent is needed any more, and whether that came to MANY.
        self._free, self._many = (
            arithmetic.view(torch.zeros(slots, dtype=torch.bool, device=device)) for _ in range(2)
        )
        self._any_evidence = False  # in any slot, on the host
        self._last = arithmetic.column(slots, -torch.inf)  # media seconds of the last picture
        # What waits for it: the share that is damaged, and the first and the last picture.
        self._waits, self._waits_since = arithmetic.column(slots), arithmetic.column(slots)
        self._waited = arithmetic.column(slots, -torch.inf)
        self._grid = torch.tensor([TILE_ROWS, TILE_COLUMNS], device=device)
        self._levels = torch.tensor(SEEN_LEVELS, device=device)
        self.take: Callable[[int, float, Tensor], None] | None = None
        """Handed what is said of a picture that is looked at: slot, pts, (PIECES, tiles, tiles), NaN beyond it."""

    @property
    def runs(self) -> bool:
        return bool(self._wanted) and (self._point is not None or self.take is not None)

    def open_slot(self, slot: int, wanted: bool, source: tuple[float, float] = (0.0, 0.0)) -> None:
        """A stream moves in.

        Args:
            slot: which is free.
            wanted: it is looked at for a second time.
            source: as `source_of` gives it.
        """
        self.close_slot(slot)
        if wanted:
            self._wanted.add(slot)
        self._source[slot] = source
        self._credit[slot], self._credited[slot], self._looked[slot] = MOST_LOOKS, -np.inf, -np.inf
        self._told[slot], self._until[slot] = 0.0, -torch.inf
        self._run[slot], self._sure_at[slot], self._seen[slot] = 0.0, -torch.inf, torch.nan
        self._needs[slot], self._saw[slot], self._doubted[slot] = float(wanted), -torch.inf, -torch.inf
        self._free[slot], self._many[slot] = False, False
        self._waits[slot], self._waited[slot], self._last[slot] = 0.0, -torch.inf, -torch.inf

    def close_slot(self, slot: int) -> None:
        """A stream has moved out."""
        self._wanted.discard(slot)
        self._asked.pop(slot, None)
        self._done[slot] = self._number[slot] + 1  # whatever is still on its way was asked by this one

    def warm_up(self) -> None:
        """Compile what a look at pieces that are scaled back takes: made-up pictures ask for none."""
        device = self._arithmetic.device
        frame, reference, corners = (
            torch.zeros(shape, dtype=torch.int64, device=device)
            for shape in ((1, FRAME_FIELDS), (1, REFERENCE_FIELDS), (1, PIECES, 2))
        )
        scaled_back(frame, reference, corners, torch.full((1, 2), TILE, device=device))

    def look(self, batch: FrameBatch, references_of: Callable[[Tensor], Tensor], share: float) -> list[int]:
        """Look at those pictures of a batch whose streams asked shortly before.

        Args:
            batch: at hand.
            references_of: as `Network.look` takes it.
            share: of the looks that there usually are; less under load.
        Returns: rows that were looked at.
        """
        if (share > 0) != self._looking:
            self._looking = share > 0
            self._looks[0] = float(self._looking)
        rows: list[int] = []
        coded: list[int] = []
        for row, slot in enumerate(batch.numbers):
            self._number[slot] += 1
            asked = self._asked.get(slot)
            if asked is not None and self._may_look(slot, asked, batch.surfaces[row], share):
                for wanted, kind in ((rows, ASKS_AS_IT_IS), (coded, ASKS_AS_CODED)):
                    if asked.asks & kind:
                        wanted.append(row)
        if rows:
            self._look(batch, rows, references_of)
        if coded:
            self._look(batch, coded, references_of, coded=True)
        return sorted({*rows, *coded})

    def _may_look(self, slot: int, asked: _Asked, surface: Surface, share: float) -> bool:
        """Whether this picture is the one that was asked for, and may be looked at."""
        if self._number[slot] - asked.number < AHEAD:
            return False
        del self._asked[slot]
        self._done[slot] = self._number[slot]
        # As long as there is load, credit grows more slowly; it never grows while time goes back.
        since = max(0.0, surface.pts - self._credited[slot])
        self._credit[slot] = min(MOST_LOOKS, self._credit[slot] + since * LOOKS_PER_SECOND * share)
        self._credited[slot] = surface.pts
        near = 0 < surface.pts - asked.pts <= GAP_SECONDS and asked.size == (surface.height, surface.width)
        too_soon = abs(surface.pts - self._looked[slot]) < APART_SECONDS - _EARLY
        may = bool(asked.asks & ASKS_CONSENT) or self._credit[slot] >= 1 - _EARLY
        if not near or too_soon or surface.interlaced or share <= 0 or not may:
            return False
        self._credit[slot] = max(0.0, self._credit[slot] - 1)
        self._looked[slot] = surface.pts
        return True

    def _look(
        self, batch: FrameBatch, rows: Sequence[int], references_of: Callable[[Tensor], Tensor], *, coded: bool = False
    ) -> None:
        index, device = torch.tensor(rows), self._arithmetic.device
        frames, slots = batch.frames[index], batch.slots[index]
        ranges = torch.tensor([int(batch.surfaces[row].full_range) for row in rows])
        pts = batch.pts[index]
        sizes = torch.stack([frames[:, Field.HEIGHT], frames[:, Field.WIDTH]], dim=1)
        if coded:
            sizes = torch.tensor([self._coded_size(batch.numbers[row], batch.surfaces[row]) for row in rows])
        if device.type == "cuda":
            frames, slots, ranges, pts, sizes = (
                part.pin_memory().to(device, non_blocking=True) for part in (frames, slots, ranges, pts, sizes)
            )
        references = references_of(index if self._arithmetic.on_host else slots)
        with torch.inference_mode():
            corners = places_of_change(self._change[slots], sizes, self._grid, PIECES)
            if coded:
                said = self._said_of_coded(frames, references, corners, sizes, ranges)
                within = inside(corners, sizes)
            else:
                said, within = self._said(frames, references, corners, ranges)
        if self.take is not None:
            shown = torch.where(within, said, torch.nan).cpu()
            for row, part in zip(rows, shown, strict=True):
                self.take(batch.numbers[row], batch.surfaces[row].pts, part)
        if self._point is not None:
            self._conclude(slots, pts, said, within, sizes, self._point)

    def _coded_size(self, slot: int, surface: Surface) -> tuple[int, int]:
        """Rows and columns of a picture before it was scaled."""
        given = (np.float64(side) for side in self._source[slot])
        width, height = coded_size(np, np.float64(surface.width), np.float64(surface.height), *given)
        return int(height), int(width)

    def _said_of_coded(
        self, frames: Tensor, references: Tensor, corners: Tensor, sizes: Tensor, ranges: Tensor
    ) -> Tensor:
        """What the network says of pieces of pictures, scaled back: (D, PIECES, tiles, tiles).

        Args:
            frames, references, ranges: of D pictures, as it takes them.
            corners: (D, PIECES, 2), in samples of the pictures as they were coded.
            sizes: (D, 2), height and width of these.
        """
        pieces = scaled_back(frames, references, corners, sizes)
        at_their_corners = torch.zeros((len(pieces.frames), 1, 2), dtype=torch.int64, device=frames.device)
        each = ranges.repeat_interleave(PIECES)
        said, _ = self._said(pieces.frames, pieces.references, at_their_corners, each)
        return said.reshape(len(frames), PIECES, *said.shape[2:])

    def _conclude(
        self, slots: Tensor, pts: Tensor, said: Tensor, within: Tensor, sizes: Tensor, point: SecondPoint
    ) -> None:
        """Keep what is told of pictures that were looked at."""
        damaged = ((said >= point.tile) & within).sum(dim=(1, 2, 3))
        # About this share of the picture: pieces are not everywhere, and in a small one they lie over each other, so a
        # tile counts as often as it is seen. So it does where the point is measured.
        share = damaged.double() * TILE * TILE / sizes.prod(dim=1).double()
        view, xp = self._arithmetic.view, self._arithmetic.xp
        at, sure, share, now = view(slots), view(damaged >= point.tiles), view(share), view(pts)
        doubted = ((said >= DOUBTED_TILE) & within).any(dim=-1).any(dim=-1).any(dim=-1)
        for seen_at, sees in ((self._saw, view(damaged > 0)), (self._doubted, view(doubted))):
            seen_at[at] = xp.where(sees, now, seen_at[at])
        levels = ((said[..., None] >= self._levels) & within[..., None]).sum(dim=(1, 2, 3, 4))
        seen = view(levels.double())
        agrees = abs(now - self._sure_at[at]) <= AGREE_SECONDS
        # A picture that is looked at as it is and scaled back is one look.
        same = (seen == self._seen[at]) | (now == self._sure_at[at])
        more = xp.where(agrees & same, 0.0, 1.0)
        run = xp.where(sure, xp.where(agrees, self._run[at], 0.0) + more, self._run[at])
        self._run[at], self._sure_at[at] = run, xp.where(sure, now, self._sure_at[at])
        self._seen[at] = xp.where(sure, seen, self._seen[at])
        tells = sure & (run >= point.looks)
        self._told[at] = xp.where(tells, share.clip(LEAST_SHARE, 1.0), self._told[at])
        self._until[at] = xp.where(tells, now + HOLD_SECONDS, self._until[at])

    def fill(
        self, rows: Rows, change: Any, blocks: BlockEvidence, coded: BlockEvidence | None, asks: Tensor | None = None
    ) -> None:
        """`corruption` is at least what was seen at a second look, and waits for consent; and who asks for a look.

        Args:
            rows: with `corruption` as the torn blocks tell it.
            change: (N, measures, TILES) float64, as `tile_stats` gives it, of these pictures.
            blocks: what torn blocks say.
            coded: what those say of the grid that pictures had before they were scaled, who tell nothing by themselves;
                None where nobody wants it.
            asks: (N,) uint8 on a GPU, where it is told which of these pictures ask, for `hear`: ASKS_AS_IT_IS,
                ASKS_AS_CODED and ASKS_CONSENT, added up.
        """
        xp, view, slots, pts = self._arithmetic.xp, rows.view, rows.slots, rows.pts
        waits: Any = False
        if self._point is not None:
            waits = self._wait(rows, blocks)
            left, told, corruption = self._until[slots] - pts, self._told[slots], view[:, _CORRUPTION]
            # Where time has gone back, what is left is of another time. Not "larger or NaN": where blocks are not
            # judged, nothing is.
            holds = (left >= 0) & (left <= HOLD_SECONDS + _EARLY)
            view[:, _CORRUPTION] = xp.where(holds & (told > corruption), told, corruption)
        torn = blocks.doubt[slots] == 1.0
        found = xp.where((blocks.doubt[slots] >= ASKS) & (blocks.evidence[slots] < ENOUGH) | waits, ASKS_AS_IT_IS, 0)
        found = found + waits * ASKS_CONSENT
        if coded is not None:
            torn = torn | (coded.doubt[slots] == 1.0)
            found = found + xp.where(coded.doubt[slots] >= ASKS, ASKS_AS_CODED, 0)
        if asks is not None:
            self._change[slots] = torch.where(torn[:, None], change[:, _DIFFERENCE].nan_to_num(), self._change[slots])
            asks.copy_(found)
            return
        for row in np.flatnonzero(found):
            slot = int(slots[row])
            if torn[row]:
                self._change[slot] = torch.from_numpy(change[row, _DIFFERENCE]).nan_to_num()
            size = int(rows.facts[Fact.HEIGHT, row]), int(rows.facts[Fact.WIDTH, row])
            self._hear(slot, _Asked(self._number[slot], float(pts[row]), size, int(found[row])))

    def _wait(self, rows: Rows, blocks: BlockEvidence) -> Any:
        """Torn blocks that need consent are not told before there is some; (N,) bool, which pictures wait for it."""
        xp, view, slots, pts = self._arithmetic.xp, rows.view, rows.slots, rows.pts
        evidence, corruption, colour = blocks.evidence[slots], view[:, _CORRUPTION], view[:, _BROKEN_COLOUR]
        enough = evidence >= ENOUGH
        # Hardly any picture gets further, and each call of numpy takes a microsecond.
        on_host = self._arithmetic.on_host
        if on_host and not self._any_evidence and not enough.any():
            self._last[slots] = pts
            return False
        since, waited = pts - self._waits_since[slots], pts - self._waited[slots]
        waiting = (self._waits[slots] > 0) & (waited >= 0) & (waited <= CONSENT_SECONDS + _EARLY)
        many = (enough & (evidence >= MANY)) | ((enough | waiting) & self._many[slots])
        saw, doubted = (abs(pts - at[slots]) <= CONSENT_SECONDS for at in (self._saw, self._doubted))
        consents = saw | (many & doubted)
        free = self._free[slots] | consents | (blocks.of_decoder[slots] >= SAID_BY_DECODER)
        free = free | (waiting & (since >= PATIENCE_SECONDS))
        self._free[slots], self._many[slots] = enough & free, many
        # Nobody waits for a look that does not come, or comes too late, as of a few pictures a second.
        in_time = AHEAD * (pts - self._last[slots]) <= CONSENT_SECONDS + _EARLY
        asks = (self._needs[slots] > 0) & (self._looks > 0) & (rows.facts[Fact.INTERLACED] == 0) & in_time
        self._last[slots] = pts
        silent = enough & asks & ~free
        share = xp.where(waiting, self._waits[slots], 0.0)
        share = xp.where(silent & (corruption > share), corruption, share)
        self._waits_since[slots] = xp.where(waiting, self._waits_since[slots], pts)
        self._waited[slots] = xp.where(silent, pts, self._waited[slots])
        view[:, _CORRUPTION] = xp.where(silent, xp.where(colour > 0, colour, 0.0), corruption)
        # With consent it is told as what a second look saw; and it began when it was first waited for.
        agreed, over = waiting & consents, waiting & (consents | (enough & free))
        self._told[slots] = xp.where(agreed, share, self._told[slots])
        self._until[slots] = xp.where(agreed, pts + HOLD_SECONDS, self._until[slots])
        view[:, _BROKEN_SINCE] = xp.where(over, since, view[:, _BROKEN_SINCE])
        self._waits[slots] = xp.where(over, 0.0, share)
        if on_host:
            self._any_evidence = bool(self._free.any() or self._many.any() or self._waits.any())
        return silent | waiting & ~over & asks

    def numbers(self, slots: Sequence[int]) -> list[int]:
        """Of the last picture of each of these slots, for `hear`."""
        return [self._number[slot] for slot in slots]

    def hear(self, batch: FrameBatch, numbers: Sequence[int], asks: Sequence[int]) -> None:
        """Which pictures of a batch ask, as `fill` told it on a GPU.

        Args:
            batch: whose pictures.
            numbers: of each in its stream, as `numbers` gave them when it was measured.
            asks: of each; 0 where it does not.
        """
        for slot, surface, number, asked in zip(batch.numbers, batch.surfaces, numbers, asks, strict=True):
            if asked:
                size = surface.height, surface.width
                self._hear(slot, _Asked(number, surface.pts, size, asked))

    def _hear(self, slot: int, asked: _Asked) -> None:
        if slot in self._wanted and slot not in self._asked and asked.number >= self._done[slot]:
            self._asked[slot] = asked


def source_of(parameters: Mapping[str, Mapping[str, float]]) -> tuple[float, float]:
    """Width and height of a stream's pictures before a scaler, by the parameters of its detectors; 0: not told."""
    own = parameters.get("video.corruption", {})
    return own.get("source_width", 0.0), own.get("source_height", 0.0)


def wants_second_looks(parameters: Mapping[str, Mapping[str, float]]) -> bool:
    """Whether a stream is looked at for a second time, by the parameters of its detectors."""
    return parameters.get("video.corruption", {}).get("network_looks", 1.0) > 0
