"""What tests of the page share: a fleet that shows real pictures, seconds with levels, and ways to wait."""

import io
import time
from dataclasses import replace

from level_seconds import second
from PIL import Image
from running_service import wait_until
from scripted_fleet import ScriptedFleet


def jpeg():
    made = io.BytesIO()
    Image.new("RGB", (64, 36), (40, 90, 160)).save(made, "JPEG")
    return made.getvalue()


class PicturedFleet(ScriptedFleet):
    """A scripted fleet that shows real pictures."""

    picture = jpeg()

    sync = None

    def status(self, stream_id):
        status = super().status(stream_id)
        return status and replace(status, video="h264 64x36 25 fps", audio="aac 48000 Hz stereo", sync=self.sync)

    def thumbnail(self, stream_id):
        return self.picture if stream_id in self.plans and not self.plans[stream_id].paused else None


def put(service, stream, count=1, **levels):
    levels = {"mafd": 0.1, "black_ratio": 0.0, "momentary": -23.0, "true_peak_db": -3.0, **levels}
    for number in range(count):
        service.fleet.listener.on_second(second(stream, number, **levels), "s", time.time() - count + number + 1)


def until(page, holds):
    """Wait until an expression holds; the page's policy keeps the driver's own way of it out."""
    wait_until(lambda: page.evaluate(holds), 10)


def go(page, service, place):
    page.goto(f"{service.url}/#/{place}")
