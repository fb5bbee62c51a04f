"""On a real GPU: the picture of a surface there is the one of the same surface on the host, and so is its JPEG."""

import io

import numpy as np
import pytest
import torch

from benchmarks.made_surfaces import copy_to_host, make_surface
from engine.evidence.jpeg import encode, small_picture_there


@pytest.mark.gpu
@pytest.mark.parametrize("depth", [8, 10])
def test_a_thumbnail_is_made_on_the_gpu_as_on_the_host(depth):
    surface = make_surface("s", torch.device("cuda:0"), 1280, 720, bit_depth=depth, seed=4)
    there, here = small_picture_there(surface), small_picture_there(copy_to_host(surface))
    assert there.is_cuda
    assert (there.cpu().int() - here.int()).abs().max() <= 1
    image = pytest.importorskip("PIL.Image")
    coded = [np.asarray(image.open(io.BytesIO(encode(picture))), np.int16) for picture in (there, here)]
    assert coded[0].shape == coded[1].shape == (180, 320, 3)
    assert np.abs(coded[0] - coded[1]).mean() < 3
