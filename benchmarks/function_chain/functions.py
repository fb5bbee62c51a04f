"""What the chain's functions do. Each is made once per worker process and handles one event at a time.

A function keeps the state of its streams between events, as one does that always finds its warm instance again. A real
one would have to read and write that state, or begin anew.

CPU time is told apart by what it was for: "media" is decoding and judging, "handoff" is encoding for the object store,
moving through it, and decoding again.
"""

import http.client
import json
import math
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import psutil
import torch

from benchmarks.function_chain.pictures import PictureReader, PictureWriter, describe, read_sound, write_sound
from benchmarks.function_chain.store import Client
from benchmarks.function_chain.variants import Image, with_masters
from engine.batch import BLOCK_SAMPLES, Batcher
from engine.decode.choose import DecoderChooser
from engine.detectors import all_detectors, resolve
from engine.incidents import IncidentBook
from engine.ingest.source import Source
from engine.judge import Judge
from engine.measure import Measure
from engine.media import AudioBlock, Surface
from engine.queues import Bell, BoundedQueue
from engine.reader import StreamReader
from engine.verdicts import Incident, Transition

CPU: Final = torch.device("cpu")
SLOTS: Final = 64
# A track that is so far behind the other one has nothing for this second.
TRACK_LATE_SECONDS: Final = 3.0

Event = Mapping[str, Any]


class Function(Protocol):
    """One of the chain's functions."""

    def handle(self, event: Event) -> dict[str, Any]:
        """Do the work of an event; what it answers is JSON."""

    def spent(self) -> dict[str, float]:
        """CPU seconds so far by what they were for."""


class _Spent:
    """The CPU time of a worker, by what it was for; all that is not handoff is media."""

    def __init__(self) -> None:
        self._handoff = 0.0
        self._process = psutil.Process()
        self._main = threading.main_thread().native_id
        self._elsewhere: dict[int, float] = {}

    @contextmanager
    def handoff(self) -> Iterator[None]:
        """What this thread does here is for the handoff."""
        began = time.thread_time()
        yield
        self._handoff += time.thread_time() - began

    def look(self) -> None:
        """Note the time of the client's threads: all that Python has not started."""
        python = {thread.native_id for thread in threading.enumerate()}
        for thread in self._process.threads():
            if thread.id not in python and thread.id != self._main:
                self._elsewhere[thread.id] = thread.user_time + thread.system_time

    def totals(self) -> dict[str, float]:
        handoff = self._handoff + sum(self._elsewhere.values())
        return {"handoff": handoff, "media": max(0.0, time.process_time() - handoff)}


class _WithStore:
    """A function that reads from the object store or writes to it.

    Args:
        store: its url.
    """

    def __init__(self, store: str) -> None:
        self._client, self._spent = Client(store), _Spent()

    def spent(self) -> dict[str, float]:
        return self._spent.totals()

    def counted(self) -> dict[str, int]:
        return dict(self._client.counted)

    def close(self) -> None:
        """End it."""
        self._client.close()


class _Conversion:
    """A stream that is being cut into seconds."""

    def __init__(self, stream: str, url: str, image: Image) -> None:
        self._bell = Bell()
        _, parameters = resolve({})
        self._reader = StreamReader(
            stream, Source(url, stream=stream), DecoderChooser(CPU, 1).open, self._bell, parameters=parameters
        )
        self.writer = PictureWriter(image)
        self._pictures: deque[Surface] = deque()
        self._blocks: deque[AudioBlock] = deque()
        self.ends = {"video": 0.0, "audio": 0.0, "stream": 0.0}
        self._reader.start()

    def before(self, until: float) -> tuple[list[Surface], list[AudioBlock], bool]:
        """Pictures and blocks that begin before a media time and were not had yet, and whether they are the last."""
        while True:
            rings = self._bell.rings
            moved = self._take()
            at = {"video": self.ends["video"], "audio": self.ends["audio"]}
            full = {
                "video": bool(self._pictures) and self._pictures[-1].pts >= until,
                "audio": bool(self._blocks) and self._blocks[-1].pts >= until,
            }
            ended = {"video": self._reader.video.ended, "audio": self._reader.audio.ended}
            late = max(at.values()) > until + TRACK_LATE_SECONDS
            if late or all(full[track] or ended[track] for track in full):
                break
            if not moved:
                self._bell.wait(rings, 0.25)
        pictures, blocks = [], []
        last = all(ended.values())
        while self._pictures and (self._pictures[0].pts < until):
            pictures.append(self._pictures.popleft())
        while self._blocks and (self._blocks[0].pts < until):
            blocks.append(self._blocks.popleft())
        last = last and not self._pictures and not self._blocks
        if last:
            failure = self._reader.video.failure
            if failure is not None:
                raise failure
            self._reader.join(20.0)
        return pictures, blocks, last

    def _take(self) -> bool:
        moved = False
        while (surface := self._reader.video.take()) is not None:
            self._pictures.append(surface)
            self.ends["video"] = max(self.ends["video"], surface.pts + surface.duration)
            moved = True
        while (block := self._reader.audio.take()) is not None:
            self._blocks.append(block)
            self.ends["audio"] = max(self.ends["audio"], block.pts + block.valid / 48000)
            moved = True
        while (tick := self._reader.ticks.take()) is not None:
            self.ends["stream"] = max(self.ends["stream"], tick.end)
            moved = True
        return moved

    def stop(self) -> None:
        """End it before its end."""
        self._reader.stop()
        for queue in (self._reader.video, self._reader.audio, self._reader.ticks):
            queue.discard()
        self._reader.join(20.0)


class Converter(_WithStore):
    """Cuts a segment of a stream into pictures and sound, and puts them into the store.

    Args:
        store: url of the object store.
        image: how pictures are encoded.
        bundled: all pictures of the segment in one object.
        segment_seconds: its length.
    """

    def __init__(self, store: str, image: Image, bundled: bool, segment_seconds: int) -> None:
        super().__init__(store)
        self._image, self._bundled = image, bundled
        self._segment_seconds = segment_seconds
        self._streams: dict[str, _Conversion] = {}
        self._ended: set[str] = set()

    def handle(self, event: Event) -> dict[str, Any]:
        stream, second = event["stream"], event["second"]
        if stream in self._ended:  # it was asked for before anybody knew
            return {"past_end": True}
        if stream not in self._streams:
            self._streams[stream] = _Conversion(stream, event["url"], self._image)
        conversion = self._streams[stream]
        begin = second * self._segment_seconds
        pictures, blocks, last = conversion.before(float(begin + self._segment_seconds))
        prefix = f"{stream}/{second}"
        with self._spent.handoff():
            coded = [conversion.writer.encode(surface) for surface in pictures]
            about = [describe(surface) for surface in pictures]
            objects: dict[str, bytes] = {}
            if self._bundled and coded:
                objects[f"{prefix}/pictures"] = b"".join(coded)
                for one, data in zip(about, coded, strict=True):
                    one["bytes"] = len(data)
            else:
                objects |= {f"{prefix}/picture-{index:03}": data for index, data in enumerate(coded)}
            sound, sound_about = write_sound(blocks)
            if blocks:
                objects[f"{prefix}/sound"] = sound
            self._client.put(objects)
            self._spent.look()
        for surface in pictures:
            surface.release()
        if last:
            del self._streams[stream]
            self._ended.add(stream)
        return {
            "stream": stream, "second": second, "last": last, "prefix": prefix, "pictures": about,
            "header": conversion.writer.header, "sound": sound_about, "objects": list(objects),
            "ends": conversion.ends,
            # The last segment may be shorter.
            "seconds": max(0, min(self._segment_seconds, math.ceil(max(conversion.ends.values()) - begin - 1e-6))),
        }  # fmt: skip

    def close(self) -> None:
        for conversion in self._streams.values():
            conversion.stop()
        super().close()


class Detectors(_WithStore):
    """A detector function: fetches a second's pictures or sound, and judges them.

    Args:
        store: url of the object store.
        image: how pictures are encoded.
        bundled: all pictures of the second in one object.
        names: of its detectors.
        results_in_store: write what was found to the store.
        function: its name.
    """

    def __init__(
        self, store: str, image: Image, bundled: bool, names: tuple[str, ...], results_in_store: bool, function: str
    ) -> None:
        torch.set_num_threads(1)
        super().__init__(store)
        self._image, self._bundled = image, bundled
        self._own, self._in_store, self._function = frozenset(names), results_in_store, function
        self._detectors, self._parameters = resolve({name: {} for name in with_masters(names)})
        self._tracks = {detector.track for detector in self._detectors}
        self._measure, self._judge = Measure(CPU, SLOTS), Judge(all_detectors(), CPU, SLOTS)
        self._batcher = Batcher(CPU, 1, 0.0)
        self._black = self._parameters.get("video.black", {}).get("pixel_black_th", 0.1)
        self._slots: dict[str, int] = {}
        self._readers: dict[str, PictureReader] = {}
        self._free = list(range(SLOTS - 1, -1, -1))

    def handle(self, event: Event) -> dict[str, Any]:
        stream = event["stream"]
        slot = self._slot_of(stream)
        found: list[Transition] = []
        pictures = sounds = 0
        if "video" in self._tracks:
            for surface in self._pictures(event):
                batch = self._batcher.assemble([(slot, surface)], {slot: self._black})
                found += self._judge.submit(self._measure.frames(batch)).transitions()
                pictures += 1
        if "audio" in self._tracks:
            for block in self._sound(event):
                queue: BoundedQueue[AudioBlock] = BoundedQueue(1, Bell())
                queue.put(block, lambda: False)
                batch_of_sound = self._batcher.sound({slot: queue})
                assert batch_of_sound is not None
                found += self._judge.submit(self._measure.sound(batch_of_sound)).transitions()
                sounds += 1
        closed: list[Transition] = []
        if event["last"]:
            row = self._measure.programme(slot, event["ends"]["audio"])
            if row is not None:
                found += self._judge.judge(row)
            closed = self._judge.close_slot(slot, event["ends"])
            self._measure.close_slot(slot)
            self._free.append(self._slots.pop(stream))
            self._readers.pop(stream)
        result = {
            "function": self._function, "stream": stream, "second": event["second"], "pictures": pictures,
            "blocks": sounds, "transitions": self._told(found), "closed": self._told(closed),
        }  # fmt: skip
        if not self._in_store:
            return result
        key = f"{event['prefix']}/result-{self._function}"
        with self._spent.handoff():
            self._client.put({key: json.dumps(result).encode()})
            self._spent.look()
        return {"key": key}

    def _slot_of(self, stream: str) -> int:
        if stream not in self._slots:
            slot = self._slots[stream] = self._free.pop()
            self._measure.open_slot(slot, self._parameters, {d.column for d in self._detectors})
            self._judge.open_slot(slot, {d.name: d.rule(self._parameters[d.name]) for d in self._detectors})
            self._readers[stream] = PictureReader(self._image)
        return self._slots[stream]

    def _pictures(self, event: Event) -> Iterator[Surface]:
        about, prefix, stream = event["pictures"], event["prefix"], event["stream"]
        if not about:
            return
        with self._spent.handoff():
            if self._bundled:
                (whole,) = self._client.get([f"{prefix}/pictures"])
                coded, at = [], 0
                for one in about:
                    coded.append(whole[at : at + one["bytes"]])
                    at += one["bytes"]
            else:
                coded = self._client.get([f"{prefix}/picture-{index:03}" for index in range(len(about))])
            self._spent.look()
        for one, data in zip(about, coded, strict=True):
            with self._spent.handoff():
                surface = self._readers[stream].decode(data, stream, one, event["header"])
            yield surface

    def _sound(self, event: Event) -> list[AudioBlock]:
        if not event["sound"]:
            return []
        with self._spent.handoff():
            (data,) = self._client.get([f"{event['prefix']}/sound"])
            self._spent.look()
        return read_sound(data, event["stream"], event["sound"], BLOCK_SAMPLES)

    def _told(self, transitions: list[Transition]) -> list[list[Any]]:
        """As JSON; those of detectors that are here only to keep others silent are another function's to tell."""
        return [
            [t.detector, t.kind, t.at, t.decided_at, t.peak, t.mean] for t in transitions if t.detector in self._own
        ]


class Aggregator(_WithStore):
    """Puts the results of a second together, keeps the streams' incidents, writes the verdict, deletes what is used.

    Args:
        store: url of the object store.
    """

    def __init__(self, store: str) -> None:
        super().__init__(store)
        self._books: dict[str, IncidentBook] = {}

    def handle(self, event: Event) -> dict[str, Any]:
        stream, second = event["stream"], event["second"]
        with self._spent.handoff():
            keys = [result["key"] for result in event["results"] if "key" in result]
            results = [json.loads(data) for data in self._client.get(keys)] if keys else event["results"]
        book = self._books.setdefault(stream, IncidentBook(stream))
        changes: dict[str, tuple[str, Incident]] = {}
        for name in ("transitions", "closed"):
            rows = sorted((row for result in results for row in result[name]), key=lambda row: (row[3], row[0]))
            for detector, kind, at, decided_at, peak, mean in rows:
                transition = Transition(0, detector, kind, at, decided_at, peak, mean)
                incident, change = book.apply(transition, "recovered" if name == "transitions" else "end_of_stream")
                changes[f"{incident.id} {change}"] = (change, incident)
        told = [
            {"change": change, "id": i.id, "stream": stream, "detector": i.detector, "severity": str(i.severity),
             "start": i.start, "end": i.end, "score": i.score}
            for change, i in changes.values() if change != "updated"
        ]  # fmt: skip
        verdict = {
            "stream": stream, "second": second, "pictures": max((r["pictures"] for r in results), default=0),
            "blocks": max((r["blocks"] for r in results), default=0), "open": [i.detector for i in book.open()],
        }  # fmt: skip
        with self._spent.handoff():
            self._client.put({f"verdicts/{stream}/{second}": json.dumps(verdict).encode()})
            if event["objects"] or keys:
                self._client.delete([*event["objects"], *keys])
            self._spent.look()
        incidents = None
        if event["last"]:
            incidents = [[i.detector, i.start, i.end] for i in self._books.pop(stream).all()]
        return {"changes": told, "verdict": verdict, "incidents": incidents}


class Notifier:
    """Tells somebody of what changed, one message each.

    Args:
        url: of the receiver.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._path = parts.path or "/"
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)

    def handle(self, event: Event) -> dict[str, Any]:
        for change in event["changes"]:
            self._connection.request(
                "POST", self._path, json.dumps(change).encode(), {"Content-Type": "application/json"}
            )
            answer = self._connection.getresponse()
            answer.read()
            if answer.status >= 300:
                raise RuntimeError(f"the receiver answered {answer.status}")
        return {"sent": len(event["changes"])}

    def spent(self) -> dict[str, float]:
        return {"handoff": 0.0, "media": time.process_time()}

    def counted(self) -> dict[str, int]:
        return {}

    def close(self) -> None:
        """End it."""
        self._connection.close()
