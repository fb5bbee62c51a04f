"""Runs everything that judges once, on made-up media, so that the first real picture waits for no compiler.

Called by the engine process before it says that it is ready, from the thread that then runs the loop.
"""

import numpy as np
import torch

from engine.batch import BLOCK_SAMPLES, Batcher
from engine.decode.upload import Uploader
from engine.detectors import all_detectors, resolve
from engine.ingest.transport_stream import TransportStream
from engine.judge import Judge
from engine.measure import Measure
from engine.measure.listening import BLOCKS
from engine.media import AudioBlock, StreamTick, Surface
from engine.queues import Bell, BoundedQueue
from engine.sound_onsets import SoundOnsets

WIDTH, HEIGHT = 320, 192
PICTURES = 3
NULL_PACKET = b"\x47\x1f\xff\x10" + bytes(184)


def warm_up(
    measure: Measure, judge: Judge, batcher: Batcher, uploader: Uploader | None, slot: int, max_seconds: float
) -> None:
    """Measure and judge a few pictures, sounds and ticks in a free slot, which is free again afterwards.

    By the detectors that all streams have, and again by those too that a stream has to ask for. Where the audio network
    is in use there is enough sound for it to listen once. What readers compile beside their decoders is compiled here
    as well.

    Args:
        measure, judge, batcher, uploader: the engine's own.
        slot: which is free.
        max_seconds: media time between the pictures; longer than any measure's interval, so that all are taken.
    """
    onsets = SoundOnsets()
    blocks = PICTURES if measure.listening is None else max(PICTURES, BLOCKS)
    for chosen, heard in ((None, blocks), (everything(), PICTURES)):
        detectors, parameters = resolve(chosen)
        measure.open_slot(slot, parameters, {d.column for d in detectors})
        judge.open_slot(slot, {d.name: d.rule(parameters[d.name]) for d in detectors})
        for n in range(PICTURES):
            surface = _picture(n, n * max_seconds)
            if uploader is not None:
                surface = uploader.upload(surface)
            judge.judge(measure.frames(batcher.assemble([(slot, surface)], {slot: 0.1})))
            surface.release()
            judge.judge(measure.ticks([(slot, StreamTick(float(n), n + 1.0, 0, 0.0, 0.0, 0.0))]))
        for n in range(heard):
            queue: BoundedQueue[AudioBlock] = BoundedQueue(1, Bell())
            tone = np.sin(np.arange(BLOCK_SAMPLES, dtype=np.float32) / 8)
            block = AudioBlock("", n * 0.1, np.ascontiguousarray([tone, tone]), BLOCK_SAMPLES, (1.0, 1.0), 1.0)
            onsets.take(block)
            queue.put(block, lambda: False)
            sound = batcher.sound({slot: queue})
            assert sound is not None
            judge.judge(measure.sound(sound))
        judge.close_slot(slot, PICTURES * max_seconds)
        measure.close_slot(slot)
    measure.warm_up()
    TransportStream().feed(NULL_PACKET * 8)
    if uploader is not None:
        torch.cuda.synchronize()


def everything() -> dict[str, dict[str, float]]:
    """Every detector, with what is looked for only where a stream says more of itself."""
    chosen: dict[str, dict[str, float]] = {one.name: {} for one in all_detectors()}
    chosen["video.corruption"]["source_height"] = 1.5 * HEIGHT
    return chosen


def _picture(n: int, pts: float) -> Surface:
    """8 bit 4:2:0, with edges that move."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    luma = ((x * 3 + y * 5 + 16 * n) % 200 + 20).astype(np.uint8)
    chroma = np.full((2, HEIGHT // 2, WIDTH // 2), 120 + n, np.uint8)
    u, v = chroma[0].ctypes.data, chroma[1].ctypes.data
    return Surface(
        stream="",
        pts=pts,
        duration=0.04,
        addresses=(luma.ctypes.data, u, v),
        luma_pitch=WIDTH,
        chroma_pitch=WIDTH // 2,
        chroma_step=1,
        width=WIDTH,
        height=HEIGHT,
        chroma_width=WIDTH // 2,
        chroma_height=HEIGHT // 2,
        bit_depth=8,
        shift=0,
        full_range=False,
        matrix=1,
        interlaced=n == PICTURES - 1,
        corrupt=False,
        device="cpu",
        owner=(luma, chroma),
        top_field_first=True,
    )
