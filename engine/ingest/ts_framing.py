"""How packets of a transport stream lie in its bytes. Nothing here is compiled: ingest processes load it.

Source: ISO/IEC 13818-1, 2.4.3.2.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

SYNC_BYTE: Final = 0x47
NULL_PID: Final = 0x1FFF
PIDS: Final = 8192
PACKET_BYTES: Final = 188
# Of 188 bytes; with four bytes of arrival time before (BDAV, ".m2ts"); with 16 bytes of Reed-Solomon code after.
FRAMINGS: Final = ((188, 0), (192, 4), (204, 0))


def find_framing(data: npt.NDArray[np.uint8]) -> tuple[int, int, int] | None:
    """Where and how packets lie in the first bytes of a stream.

    Args:
        data: (n,) bytes.
    Returns: packet bytes, bytes before the sync byte, offset of the first packet; None where there is no run of five.
    """
    for packet_bytes, lead in FRAMINGS:
        span = 4 * packet_bytes
        if len(data) <= span + lead:
            continue
        usable = len(data) - span - lead
        runs = np.ones(min(usable, packet_bytes), bool)
        for n in range(5):
            begin = lead + n * packet_bytes
            runs &= data[begin : begin + len(runs)] == SYNC_BYTE
        if runs.any():
            return packet_bytes, lead, int(np.argmax(runs))
    return None
