"""What is launched on a GPU for a batch: recorded once per size of batch, then played back.

Between and after the kernels stand hundreds of launches of a few numbers each. To launch them one by one takes Python
longer than the GPU takes for the pictures; to play them back takes one call. What is played back is what was recorded:
the same memory, the same launches. So a batch is filled up with empty rows to the next of a few sizes, what differs
from batch to batch lies in one table (`Inputs`), and what the host decides is part of the key under which recordings
are kept.

Where a driver refuses to record, everything is launched one by one, as on the first batch of each kind: slower, with
the same numbers.
"""

import logging
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar
from weakref import WeakSet

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.measure.rows import Fact, facts_of
from engine.media import FrameBatch
from kernels.layout import FRAME_FIELDS

_log: Final = logging.getLogger(__name__)
# Rows of a batch are filled up to one of these.
SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


class Uploaded(Protocol):
    """What differs from batch to batch, in one piece, so that it is uploaded at once."""

    def fill(self, staged: Tensor) -> None:
        """Upload what was staged for a batch."""


T = TypeVar("T", bound=Uploaded)


class Inputs:
    """What differs from batch to batch of pictures; see `Uploaded`.

    Args:
        rows: of the batch.
        device: where the kernels run.
    """

    def __init__(self, rows: int, device: torch.device) -> None:
        frames, slots, pts, facts = _places(rows)
        self.table = torch.zeros(facts.stop, dtype=torch.int64, device=device)
        self.frames, self.slots = self.table[frames].view(rows, FRAME_FIELDS), self.table[slots]
        self.pts = self.table[pts].view(torch.float64)
        self.facts = self.table[facts].view(torch.float64).view(len(Fact), rows)

    def fill(self, staged: Tensor) -> None:
        """Upload what `stage` made."""
        self.table.copy_(staged, non_blocking=True)


def _places(rows: int) -> tuple[slice, slice, slice, slice]:
    """Where the frames' rows, slots, pts and facts lie in a table, in words.

    Each begins at a multiple of 16 bytes whatever the number of rows: Triton compiles a kernel once for addresses that
    do and once for those that do not, and nobody should wait for that when the first batch of another size comes.
    """
    found, begin = [], 0
    for size in (rows * FRAME_FIELDS, rows, rows, rows * len(Fact)):
        found.append(slice(begin, begin + size))
        begin += size + size % 2
    frames, slots, pts, facts = found
    return frames, slots, pts, facts


def stage(batch: FrameBatch, rows: int, spare_slot: int, *, pinned: bool) -> Tensor:
    """A batch's table on the host, for `Inputs.fill`.

    Args:
        batch: N pictures.
        rows: N or more; those beyond have no picture and lie in `spare_slot`.
        spare_slot: nobody's.
        pinned: page-locked, so that the upload does not wait.
    """
    count, places = len(batch.numbers), _places(rows)
    staged = torch.zeros(places[-1].stop, dtype=torch.int64, pin_memory=pinned)
    whole: npt.NDArray[np.int64] = staged.numpy()  # numpy writes a few numbers in a tenth of the time
    frames, slots, pts, facts = (whole[place] for place in places)
    frames.reshape(rows, FRAME_FIELDS)[:count] = batch.frames.numpy()
    slots[:count], slots[count:] = batch.slots.numpy(), spare_slot
    pts.view(np.float64)[:count] = batch.pts.numpy()
    facts.view(np.float64).reshape(len(Fact), rows)[:, :count] = facts_of(batch)
    return staged


class Recording(Protocol):
    """Launches that can be played back."""

    def replay(self) -> None:
        """Launch them again, in the same memory."""


Record = Callable[[Callable[[], Tensor]], tuple[Recording, Tensor]]
"""Records what a function launches, without running it; and where its result will lie after each replay."""


def record_on(device: torch.device) -> Record:
    """A CUDA graph on the device."""

    # Of memory for what lies between launches: no two of these recordings play at a time. A pool goes with the last
    # recording that uses it, and must not be asked for afterwards.
    pool: Any = None
    using: WeakSet[Any] = WeakSet()

    def record(work: Callable[[], Tensor]) -> tuple[Recording, Tensor]:
        nonlocal pool
        if not using:
            pool = torch.cuda.graph_pool_handle()
        graph: Any = torch.cuda.CUDAGraph()
        # The threads of decoders allocate on the way; that is none of this graph's business.
        with torch.cuda.device(device), torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            result = work()
        using.add(graph)
        return graph, result

    return record


class Graphs(Generic[T]):
    """Runs work over batches, by playing a recording back where there is one.

    The first batch of a kind is run launch by launch, which compiles its kernels, and recorded afterwards.

    Args:
        device: where.
        record: how; None launches everything one by one.
    """

    def __init__(self, device: torch.device, record: Record | None) -> None:
        self._device, self._record = device, record
        self._key: Any = None  # of all that are kept
        self._kept: dict[int, tuple[T, Recording, Tensor]] = {}  # by rows
        self._failed: str | None = None
        self.replays = 0
        """Batches that were played back."""

    @property
    def problem(self) -> str:
        """Why nothing is recorded; "" where it is."""
        return self._failed or ""

    def rows(self, count: int) -> int:
        """With how many rows a batch of `count` pictures is run."""
        if self._record is None or self._failed is not None:
            return count
        return next((size for size in SIZES if size >= count), count)

    def run(
        self,
        key: Any,
        rows: int,
        room: Callable[[], T],
        staged: Tensor,
        work: Callable[[T], Tensor],
        *,
        copied: bool = True,
    ) -> tuple[Tensor, T]:
        """The result of `work`, and what was uploaded for it, which holds until the next call.

        Args:
            key: what the host knows and `work` depends on.
            rows: of the batch.
            room: makes what the batch is uploaded to.
            staged: what is uploaded there.
            work: launches on the device and neither waits for it nor looks at its memory.
            copied: the result is wanted after the next call.
        Returns: what it returned, and the uploaded table.
        """
        if key != self._key:
            self._forget()
            self._key = key
        kept = self._kept.get(rows)
        if kept is not None:
            inputs, recording, result = kept
            inputs.fill(staged)
            recording.replay()
            self.replays += 1
            # The next batch of this kind overwrites it.
            return result.clone() if copied else result, inputs
        inputs = room()
        inputs.fill(staged)
        found = work(inputs)
        if self._record is not None and self._failed is None:
            try:
                self._kept[rows] = (inputs, *self._record(lambda: work(inputs)))
            except RuntimeError as error:  # torch's and CUDA's; what was run above stands
                self._failed = (str(error).splitlines() or [type(error).__name__])[0][:300]
                _log.warning("batches are launched kernel by kernel, which is slower: recording failed: %s", error)
        return found, inputs

    def _forget(self) -> None:
        """Streams with other needs have come or gone: what was recorded does not fit any more."""
        if self._kept and self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()  # none of them may still be playing
        self._kept.clear()
