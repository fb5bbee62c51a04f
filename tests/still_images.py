"""Images that tests write."""

from pathlib import Path

import av
import numpy as np
import numpy.typing as npt


def written(path: Path, luma: npt.NDArray[np.float64]) -> Path:
    """A PNG of these levels (rows, columns) of full range, grey."""
    frame = av.VideoFrame.from_ndarray(np.repeat(luma[..., None], 3, axis=2).astype(np.uint8), "rgb24")
    with av.open(str(path), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "rgb24"
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
