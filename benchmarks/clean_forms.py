"""Forms in which clean programmes come that look unlike the film that is in them: nothing of it is damage.

Low light, heavy grain, split screens, captions and tickers over the picture, glitch effects, cartoons, black and white,
pans over the picture, quick motion and wipes, each coded by another coder (benchmarks/clean_content.py).
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from benchmarks.clean_content import FIT

# The presets are quick ones, as hours are coded, but such as smooth their blocks' edges.
H264: Final = ("-c:v", "libx264", "-preset", "superfast", "-crf", "21", "-pix_fmt", "yuv420p")
HEVC: Final = ("-c:v", "libx265", "-preset", "ultrafast", "-crf", "23", "-x265-params", "log-level=error", "-pix_fmt",
               "yuv420p")  # fmt: skip
_MPEG2: Final = ("-c:v", "mpeg2video", "-b:v", "5M", "-pix_fmt", "yuv420p")
_LOW: Final = ("-c:v", "libx264", "-preset", "superfast", "-b:v", "1200k", "-pix_fmt", "yuv420p")
_STRIP: Final = (
    "Trains run late this morning  +++  City wins 3:1  +++  Tomorrow sunny, 21 to 24 degrees  +++  Markets 0.4 % up  "
)


@dataclass(frozen=True, slots=True)
class Form:
    """A form.

    Args:
        name: for people.
        filters: of FFmpeg: a graph from [a], the clip, [b], another one, and [t], a strip of text, to [out].
        codec: options of FFmpeg's output.
        suffix: of the file.
    """

    name: str
    filters: str
    codec: tuple[str, ...]
    suffix: str = ".mp4"

    @property
    def has_other(self) -> bool:
        """Whether another clip is seen in it."""
        return "[b]" in self.filters


def _alone(filters: str, size: tuple[int, int] = (640, 360), rate: str = "25") -> str:
    return f"[a]{FIT.format(*size)},fps={rate},{filters}[out]"


def _part(label: str, size: tuple[int, int], to: str, rate: str = "25") -> str:
    return f"[{label}]{FIT.format(*size)},setsar=1,fps={rate},format=yuv420p[{to}]"


# The other's left edge: in half a second over the picture, after three it leaves as it came.
_WIPE: Final = ("if(lt(mod(t,6),0.5),-640+1280*mod(t,6),if(lt(mod(t,6),3),0,"
                "if(lt(mod(t,6),3.5),-1280*(mod(t,6)-3),-640)))")  # fmt: skip
# In every fourth second, for a quarter of it.
_NOW: Final = "'between(mod(t,4),1,1.25)'"

FORMS: Final[tuple[Form, ...]] = (
    Form("low light", _alone("eq=brightness=-0.12:contrast=0.55:gamma=0.8,noise=alls=7:allf=t"), _LOW),
    Form("heavy grain", _alone("noise=c0s=22:c0f=t+u", rate="24"), H264),
    Form("split screen", f"{_part('a', (320, 360), 'l')};{_part('b', (320, 360), 'r')};"
         "[l][r]hstack=shortest=1[out]", _MPEG2, ".ts"),
    Form("picture in picture, caption and ticker",
         f"{_part('a', (960, 540), 'l', '30')};{_part('b', (288, 162), 'r', '30')};[l][r]overlay=640:30:shortest=1[p];"
         "[p]drawbox=y=440:h=44:w=520:x=40:color=navy@0.85:t=fill[q];"
         "[q][t]overlay=x='60-mod(t*110,1200)':y=500:shortest=1[out]", H264),
    Form("four at once", f"{_part('a', (478, 268), 'c')};[c]split[l][m];{_part('b', (478, 268), 'd')};[d]split[r][s];"
         "[l][r][s][m]xstack=inputs=4:grid=2x2:fill=gray:shortest=1[out]", H264),
    Form("glitch effects", _alone(f"rgbashift=rh=9:bh=-9:gv=3:enable={_NOW},"
         f"chromashift=cbh=7:crv=-5:enable={_NOW},format=yuv420p,"
         "hue=h=150:enable='between(mod(t,4),1.1,1.2)',negate=enable='between(mod(t,8),5,5.08)'"), H264),
    Form("pan over the picture", "[a]scale=1280:720:force_original_aspect_ratio=increase,fps=50,"
         "crop=640:360:'(iw-ow)*(0.5+0.5*sin(t/2))':'(ih-oh)*(0.5+0.5*cos(t/3))'[out]", H264),
    Form("cartoon", _alone("edgedetect=mode=colormix:low=0.08:high=0.2,format=yuv420p"), H264),
    Form("twice as fast, mirrored", "[a]setpts=PTS/2," + FIT.format(720, 576) + ",fps=25,hflip[out]", _MPEG2, ".ts"),
    Form("black and white with vignette", _alone("hue=s=0,vignette=PI/4,noise=alls=9:allf=t", rate="24000/1001"),
         HEVC),
    Form("wipes to another one and back", f"{_part('a', (640, 360), 'l')};{_part('b', (640, 360), 'r')};"
         f"[l][r]overlay=x='{_WIPE}':shortest=1[out]", H264),
    Form("of low bit rate, enlarged",
         "[a]" + FIT.format(480, 270) + ",fps=25,scale=1280:720:flags=bicubic,unsharp[out]",
         ("-c:v", "libx264", "-preset", "superfast", "-b:v", "2500k", "-pix_fmt", "yuv420p")),
)  # fmt: skip


def draw_strip(path: Path) -> None:
    """Write the strip of text of a ticker: 2400x34 samples, white on dark red."""
    strip = Image.new("RGB", (2400, 34), (120, 10, 16))
    ImageDraw.Draw(strip).text((8, 4), _STRIP * 2, fill=(240, 240, 240), font=ImageFont.load_default(22))
    strip.save(path)


def form_clip(clip: Path, other: Path, form: Form, path: Path, seconds: float, ffmpeg: str, strip: Path) -> None:
    """Write a clip's pictures in a form, without sound.

    Args:
        clip: the film.
        other: beside it where the form has two.
        form: how.
        path: of the file.
        seconds: of the clip at most.
        ffmpeg: the program.
        strip: as `draw_strip` writes it.
    Raises: CalledProcessError where FFmpeg cannot; TimeoutExpired where it takes more than five times as long.
    """
    inputs: list[Sequence[str]] = [("-i", str(clip))]
    graph = form.filters.replace("[a]", "[0:V:0]")
    for label, source in (("b", ("-stream_loop", "-1", "-i", str(other))), ("t", ("-loop", "1", "-i", str(strip)))):
        if f"[{label}]" in graph:
            graph = graph.replace(f"[{label}]", f"[{len(inputs)}:V:0]")
            inputs.append(source)
    command = [ffmpeg, "-y", "-v", "fatal", *(word for one in inputs for word in one), "-filter_complex", graph, "-map",
               "[out]", "-t", f"{seconds:g}", *form.codec, "-an", "-threads", "1", str(path)]  # fmt: skip
    subprocess.run(command, check=True, timeout=300 + 5 * seconds, stdin=subprocess.DEVNULL)
