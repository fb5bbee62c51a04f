"""What a live engine says of its streams once a second."""

from typing import Final, Literal

from engine.ingest.remote import RemoteSource
from engine.judged_stream import JudgedStream
from engine.service.messages import StreamSaid

COUNTED: Final = (
    "frames_decoded", "frames_measured", "frames_seen_by_network", "decode_errors", "packets", "packet_bytes",
    "audio_samples",
)  # fmt: skip


def stream_report(stream: JudgedStream, session: str, source: RemoteSource | None, lag: float) -> StreamSaid:
    """How a stream is.

    Args:
        stream: in its slot.
        session: of this run.
        source: that its packets come from.
        lag: seconds for which its oldest packet has waited.
    """
    reader = stream.reader
    info, sampling = reader.info, reader.sampling
    video = info.video if info is not None else None
    audio = info.audio if info is not None else None
    state: Literal["starting", "running", "stalled", "shed"] = "running"
    if sampling.shed:
        state = "shed"
    elif reader.progress.stalled or reader.lost:
        state = "stalled"
    elif not (reader.counters.frames_decoded or stream.audio_samples):
        state = "starting"
    share = 1.0
    if sampling.shed:
        share = 0.0
    elif sampling.rate is not None and video is not None and video.frame_rate:
        share = min(1.0, sampling.rate / video.frame_rate)
    decoders = reader.decoders
    decoder = decoders.video if decoders is not None else None
    reason = decoders.reason if decoders is not None else ""
    return StreamSaid(
        id=stream.spec.id,
        session=session,
        state=state,
        cause=reader.progress.cause if state == "stalled" else "overload" if state == "shed" else None,
        detail=reader.progress.failure_detail if state == "stalled" and reader.lost else "",
        media_seconds=round(stream.known_until(), 3),
        lag_seconds=round(lag, 3),
        sampling=round(share, 4),
        decoder=decoder.name if decoder is not None else None,
        # NVDEC may have gone over to software later, and then says why itself.
        decoder_reason=getattr(decoder, "reason", "") or reason,
        video=None if video is None else _described(video.codec, video.width, video.height, video.frame_rate),
        audio=None if audio is None else f"{audio.codec} {audio.sample_rate} Hz {audio.layout}",
        counters=stream_counters(stream, source),
        renditions=source.renditions if source is not None else (),
        sync=stream.sync_now(),
    )


def stream_counters(stream: JudgedStream, source: RemoteSource | None) -> dict[str, float]:
    """What was counted of a stream since it moved in."""
    counters = {name: float(getattr(stream.reader.counters, name)) for name in COUNTED}
    counters["frames_left_out"] = float(stream.reader.sampling.left_out)
    if source is not None:
        counters["packets_skipped"] = float(source.arrivals.skipped_packets)
        counters["skips"] = float(source.arrivals.skips)
    return counters


def _described(codec: str, width: int, height: int, frame_rate: float | None) -> str:
    rate = f" {frame_rate:g} fps" if frame_rate else ""
    return f"{codec} {width}x{height}{rate}"
