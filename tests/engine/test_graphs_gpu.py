"""On a real GPU: a recorded batch gives the numbers of one that is launched kernel by kernel, and of the CPU."""

from dataclasses import replace

import pytest
import torch

from benchmarks.made_surfaces import copy_to_host, make_surface
from engine.batch import Batcher
from engine.detectors import DETECTORS, resolve
from engine.measure import Measure
from engine.measure.graphs import record_on
from kernels.edge_width import COLUMNS as EDGE_COLUMNS
from kernels.siti import COLUMNS as INFORMATION_COLUMNS

CPU = torch.device("cpu")
SIZES = ((320, 180, 8), (322, 186, 8), (640, 360, 10))
COLUMNS = {*(d.column for d in DETECTORS), *INFORMATION_COLUMNS, *EDGE_COLUMNS}


def opened(measure):
    _, parameters = resolve(None)
    for slot in range(len(SIZES)):
        measure.open_slot(slot, parameters, COLUMNS)
    return measure


@pytest.mark.gpu
def test_recorded_launches_give_the_numbers_of_single_ones_and_of_the_cpu():
    device = torch.device("cuda:0")
    slots = len(SIZES)
    own = torch.cuda.Stream(device)
    own.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(own):
        recorded = opened(Measure(device, slots, record=record_on(device)))
        launched, host = opened(Measure(device, slots)), opened(Measure(CPU, slots))
        here, there = (Batcher(d, slots, 0.0) for d in (CPU, device))
        black = dict.fromkeys(range(slots), 0.1)
        for n in range(24):
            taken = [
                (slot, make_surface("s", device, w, h, bit_depth=depth, pts=n / 4, seed=slot + n // 2))
                for slot, (w, h, depth) in enumerate(SIZES)
                if (n + slot) % 5
            ]
            on_host = [(slot, replace(copy_to_host(s), pts=s.pts)) for slot, s in taken]
            batch = there.assemble(taken, black)
            one, other = recorded.frames(batch).values.cpu(), launched.frames(batch).values.cpu()
            torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
            # Logarithms and roots of both differ in the last digits; see tests/kernels for each kernel's own bound.
            expected = host.frames(here.assemble(on_host, black)).values
            torch.testing.assert_close(one, expected, rtol=1e-6, atol=1e-9, equal_nan=True)
        assert recorded.graph_problem == ""
        assert recorded.replays > 12
