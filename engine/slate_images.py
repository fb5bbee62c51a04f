"""A slate's hash from an image, or from the first picture of a clip."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import av
import numpy as np
import torch
from av.video.reformatter import ColorRange

from engine.config import Config
from engine.errors import ConfigError
from engine.slates import Slate, levels
from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field
from kernels.tile_stats import tile_stats

LARGEST_PIXELS: Final = 8192 * 8192


def read_slate(name: str, path: Path) -> Slate:
    """The slate of a file's first picture.

    Args:
        name: of the slate.
        path: of a file that libav reads.
    Raises: ConfigError if there is no picture in it, or nearly nothing to see.
    """
    try:
        with av.open(str(path)) as container:
            track = container.streams.video[0]
            track.codec_context.options = {"max_pixels": str(LARGEST_PIXELS)}
            picture = next(container.decode(track)).reformat(format="yuv444p", dst_color_range=ColorRange.MPEG)
    except (av.error.FFmpegError, OSError, ValueError, IndexError, StopIteration) as error:
        why = getattr(error, "strerror", None) or "there is no picture in it"
        raise ConfigError(
            "cannot read a slate",
            stream=name,
            why=f"{path}: {why}",
            remedy="name an image, or a clip that begins with it",
        ) from error
    luma = picture.planes[0]
    row = torch.zeros((1, FRAME_FIELDS), dtype=torch.int64)
    for field, value in (
        (Field.LUMA_ADDRESS, luma.buffer_ptr),
        (Field.U_ADDRESS, picture.planes[1].buffer_ptr),
        (Field.V_ADDRESS, picture.planes[2].buffer_ptr),
        (Field.LUMA_PITCH, luma.line_size),
        (Field.CHROMA_PITCH, picture.planes[1].line_size),
        (Field.CHROMA_STEP, 1),
        (Field.WIDTH, picture.width),
        (Field.HEIGHT, picture.height),
        (Field.CHROMA_WIDTH, picture.width),
        (Field.CHROMA_HEIGHT, picture.height),
        (Field.BIT_DEPTH, 8),
    ):
        row[0, field] = value
    tiles = tile_stats(row, torch.zeros((1, REFERENCE_FIELDS), dtype=torch.int64)).numpy()
    if np.isnan(tiles[0, 0]).any():
        raise ConfigError(
            "cannot read a slate",
            stream=name,
            why=f"{path} has {picture.width}x{picture.height} pixels",
            remedy="name an image of 16x9 pixels at least",
        )
    full_range = np.array([[False]])
    return Slate.of(name, np.clip(np.rint(levels(tiles, full_range, np)[0]), 0, 255).astype(np.uint8))


def slate_of(name: str, slate: Mapping[str, str]) -> Slate:
    """The slate of an entry of the configuration, which has an image or a hash.

    Raises: ConfigError for a hash that is none, or an image that cannot be read.
    """
    return Slate.parse(name, slate["hash"]) if "hash" in slate else read_slate(name, Path(slate["image"]))


def configured(config: Config) -> tuple[Slate, ...]:
    """The slates that a configuration names. Raises: ConfigError for a hash that is none, or an unreadable image."""
    return tuple(slate_of(name, slate.model_dump(exclude_none=True)) for name, slate in config.slates.items())
