"""The checks of the tables that kernels over pictures take, so that each says the same of a wrong one."""

import torch
from torch import Tensor

from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS


def check_frame_tables(kernel: str, frames: Tensor, *references: Tensor) -> None:
    """Refuse tables that a kernel would read past their end, or on another device.

    Args:
        kernel: its name, for the error.
        frames: int64 (N, FRAME_FIELDS), contiguous; addresses, so nothing but their shape can be checked.
        references: int64 (N, REFERENCE_FIELDS) each, contiguous, on the device of `frames`.

    Raises:
        ValueError: one of them is otherwise.
    """
    count = frames.shape[0] if frames.dim() else -1
    given = (frames, *references)
    for table, fields in zip(given, (FRAME_FIELDS, *(REFERENCE_FIELDS for _ in references)), strict=True):
        if (
            table.shape != (count, fields)
            or table.dtype != torch.int64
            or table.device != frames.device
            or not table.is_contiguous()
        ):
            wanted = ", ".join(("(N, FRAME_FIELDS)", *("(N, REFERENCE_FIELDS)" for _ in references)))
            raise ValueError(
                f"{kernel} takes contiguous int64 tables {wanted} on one device; got "
                + ", ".join(f"{t.dtype} {tuple(t.shape)} stride {t.stride()} on {t.device}" for t in given)
            )


def check_table(kernel: str, table: Tensor, rows: int | None, fields: int, device: torch.device, what: str) -> None:
    """Refuse another table than those of `check_frame_tables`, likewise.

    Args:
        kernel: its name, for the error.
        table: int64 (rows, fields), contiguous, on `device`.
        rows: of it; None: any number.
        fields: of a row.
        device: of the table of frames.
        what: is in it, for the error.

    Raises:
        ValueError: it is otherwise.
    """
    shape = table.shape if rows is None else (rows, *table.shape[1:])
    if (
        table.shape != shape
        or table.shape[1:] != (fields,)
        or table.dtype != torch.int64
        or table.device != device
        or not table.is_contiguous()
    ):
        raise ValueError(
            f"{kernel} takes a contiguous int64 table ({'M' if rows is None else rows}, {fields}) of {what} on "
            f"{device}; got {table.dtype} {tuple(table.shape)} stride {table.stride()} on {table.device}"
        )
