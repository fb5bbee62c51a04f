"""A detector that nobody enabled costs nothing: its kernel does not run."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from frames import random_frame
from surfaces import surface

from engine.batch import Batcher
from engine.detectors import DETECTORS, resolve
from engine.measure import Measure, area, blocks, fields, jitter, sharpness, tears, texture
from kernels.frame_stats import COLUMNS as FRAME_COLUMNS

CPU = torch.device("cpu")
KERNELS = {
    "blockiness": blocks,
    "sharpness": sharpness,
    "texture": texture,
    "active_area": area,
    "tear": tears,
    "jitter": jitter,
    "fields": fields,
}
# Compiled together with `frame_stats` and others, so that what they fill is all that shows of them.
SHOWN_BY = {"tile_stats": "flash_rate", "torn_blocks": "torn_corners"}
# What a detector of each kernel is.
WANTED = {
    "video.blockiness": {"blockiness"},
    "video.blur": {"sharpness"},
    "video.noise": {"texture"},
    "video.combing": {"texture", "torn_blocks"},  # whose borders say when to look
    "video.letterbox": {"active_area"},
    "video.flash": {"tile_stats"},
    "video.corruption": {"tile_stats", "torn_blocks"},
    "video.tearing": {"tear"},
    "video.line_jitter": {"jitter"},
    "video.field_order": {"fields"},
    "video.freeze": set(),
    "video.black": {"tile_stats"},  # what is dark in a strong colour is not black
}


@pytest.fixture
def ran(monkeypatch):
    """Names of the kernels that have run."""
    names = set()

    def watched(name, kernel):
        def run(*arguments):
            names.add(name)
            return kernel(*arguments)

        return run

    for name, module in KERNELS.items():
        monkeypatch.setattr(module, name, watched(name, getattr(module, name)))
    return names


def measured(names):
    """Rows of three seconds of pictures of a stream with these detectors, and their columns."""
    enabled, parameters = resolve({name: {} for name in names})
    measure, batcher = Measure(CPU, 1), Batcher(CPU, 1, 0.0)
    measure.open_slot(0, parameters, {declared.column for declared in enabled})
    rows = []
    for n in range(12):
        picture = surface(random_frame(64, 48, seed=n, smooth=True), n / 4, False, False)
        if n > 9:
            picture = replace(picture, interlaced=True, top_field_first=True)
        rows.append(measure.frames(batcher.assemble([(0, picture)], {0: 0.1})).values.numpy())
    return np.concatenate(rows), measure.columns("video")


def shown(values, columns):
    """The kernels that filled something, of those that are compiled together."""
    return {name for name, column in SHOWN_BY.items() if np.isfinite(values[:, columns.index(column)]).any()}


@pytest.mark.parametrize("name", WANTED)
def test_only_the_kernel_of_an_enabled_detector_runs(name, ran):
    assert ran | shown(*measured([name])) == WANTED[name]


def test_with_freeze_alone_nothing_but_frame_stats_fills_a_column():
    values, columns = measured(["video.freeze"])
    assert {name for k, name in enumerate(columns) if np.isfinite(values[:, k]).any()} == set(FRAME_COLUMNS)


def test_with_every_detector_every_kernel_runs_and_every_judged_column_is_filled(ran):
    names = [declared.name for declared in DETECTORS if declared.track == "video"]
    values, columns = measured(names)
    assert ran | shown(values, columns) == {*KERNELS, *SHOWN_BY}
    judged = {declared.column for declared in DETECTORS if declared.track == "video"}
    judged.discard("slate_distance")  # only where slates were given
    assert judged <= {name for k, name in enumerate(columns) if np.isfinite(values[:, k]).any()}
