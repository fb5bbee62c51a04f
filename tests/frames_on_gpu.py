"""The pictures of the kernels' tests in a GPU's memory."""

import torch
from frames import frame_table, reference_table


def on_device(pairs):
    """The tables of (picture, earlier picture) pairs in the GPU's memory, and what they point to."""
    kept, places = [], {}
    for frame in (frame for pair in pairs for frame in pair):
        for buffer in frame.buffers:
            kept.append(torch.from_numpy(buffer).cuda())
            places[buffer.ctypes.data] = kept[-1].data_ptr()

    def moved(table):
        table = table.clone()
        for row in table:
            u, v = int(row[1]), int(row[2])
            apart = v - u if v and v not in places else None  # interleaved
            row[0] = places[int(row[0])]
            row[1] = places[u] if u else 0
            row[2] = 0 if not v else row[1] + apart if apart is not None else places[v]
        return table.cuda()

    frames, references = frame_table([a for a, _ in pairs]), reference_table([b for _, b in pairs])
    return (frames, references), (moved(frames), moved(references)), kept
