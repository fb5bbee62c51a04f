"""Names and order of the columns of every track's rows."""

from typing import Final

from engine.ingest.transport import COLUMNS as TRANSPORT_COLUMNS
from kernels.active_area import COLUMNS as AREA_COLUMNS
from kernels.audio_stats import COLUMNS as AUDIO_KERNEL_COLUMNS
from kernels.blockiness import COLUMNS as BLOCK_COLUMNS
from kernels.edge_width import COLUMNS as EDGE_COLUMNS
from kernels.fields import COLUMNS as FIELD_COLUMNS
from kernels.frame_stats import COLUMNS as FRAME_COLUMNS
from kernels.scaled_blocks.layout import COLUMNS as SCALED_COLUMNS
from kernels.sharpness import COLUMNS as SHARPNESS_COLUMNS
from kernels.siti import COLUMNS as INFORMATION_COLUMNS
from kernels.sound_repeats.layout import COLUMNS as REPEAT_COLUMNS
from kernels.sound_trends import COLUMNS as TREND_COLUMNS
from kernels.temporal import COLUMNS as TEMPORAL_COLUMNS
from kernels.texture import COLUMNS as TEXTURE_COLUMNS
from kernels.torn_blocks import COLUMNS as TORN_COLUMNS
from models.audio_labels import LABELS as AUDIO_LABELS

# A kernel's columns lie together, in its own order; what is put together from them follows.
VIDEO_COLUMNS: Final = (
    *FRAME_COLUMNS,
    *BLOCK_COLUMNS,
    "blocks",
    "blocks_since",
    *EDGE_COLUMNS,
    *SHARPNESS_COLUMNS,
    "blur",
    *TEMPORAL_COLUMNS,
    *TEXTURE_COLUMNS,
    "chroma_loss",
    "chroma_loss_since",
    "combing_since",
    "texture_since",
    *AREA_COLUMNS,
    "letterbox",
    "slate_distance",
    *TORN_COLUMNS,
    *SCALED_COLUMNS,
    "corruption",
    "network_corruption",
    "tear_place",
    "tearing",
    "tearing_since",
    "line_jitter",
    "line_jitter_since",
    *INFORMATION_COLUMNS,
    *FIELD_COLUMNS,
    "field_order",
    "field_order_since",
)
AUDIO_COLUMNS: Final = (
    *AUDIO_KERNEL_COLUMNS,
    *TREND_COLUMNS,
    *REPEAT_COLUMNS,
    "programme_error",
    *(f"network_{label}" for label in AUDIO_LABELS),
    "network_sound",
)
TICK_COLUMNS: Final = (
    "decode_errors", "video_missing_seconds", "audio_missing_seconds", "stall_seconds", "sync_error",
    "reference_mismatch",
)  # fmt: skip
STREAM_COLUMNS: Final = (*TICK_COLUMNS, *TRANSPORT_COLUMNS)
COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "video": VIDEO_COLUMNS,
    "audio": AUDIO_COLUMNS,
    "stream": STREAM_COLUMNS,
}


def place(name: str) -> int:
    """Where a column is in the rows of pictures."""
    return VIDEO_COLUMNS.index(name)


def places(names: tuple[str, ...]) -> slice:
    """Where the columns of one kernel are in the rows of pictures."""
    first = VIDEO_COLUMNS.index(names[0])
    return slice(first, first + len(names))
