"""The pictures of the kernels' tests as surfaces of one stream."""

from engine.media import Surface


def surface(frame, pts, full_range, interlaced):
    """A `frames.Frame` as a decoder would hand it out; the surface keeps it alive."""
    height, width = frame.luma.shape
    return Surface(
        stream="s", pts=pts, duration=0.04, addresses=(frame.luma_address, frame.u_address, frame.v_address),
        luma_pitch=frame.buffers[0].shape[1], chroma_pitch=frame.chroma_pitch, chroma_step=frame.chroma_step,
        width=width, height=height, chroma_width=frame.u.shape[1], chroma_height=frame.u.shape[0],
        bit_depth=frame.bit_depth, shift=frame.shift, full_range=full_range, matrix=1, interlaced=interlaced,
        corrupt=False, device="cpu", owner=frame,
    )  # fmt: skip
