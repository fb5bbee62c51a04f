"""Clean content with the statistics of real pictures (amplitudes that fall with frequency), in two layers that move."""

import subprocess

import numpy as np
from made_sound import speech_like
from media import ffmpeg_exe


def _texture(shape, fall, seed):
    """(height, width) of zero mean and unit deviation whose spectrum falls as 1 / frequency**fall."""
    spectrum = np.fft.rfft2(np.random.default_rng(seed).standard_normal(shape))
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None] * shape[0], np.fft.rfftfreq(shape[1])[None, :] * shape[1])
    frequency[0, 0] = 1.0
    made = np.fft.irfft2(spectrum / frequency**fall, s=shape)
    return (made - made.mean()) / made.std()


def pictures(width, height, rate, seconds, seed=1):
    """(3, height, width) uint8 planes of 4:4:4: a background that pans, and before it something round that moves."""
    shape = height + 80 * round(seconds + 1), width + 200 * round(seconds + 1)
    luma, blue, red, front = (_texture(shape, fall, seed + n) for n, fall in enumerate((1.3, 1.6, 1.6, 1.2)))
    y, x = np.mgrid[:height, :width]
    for index in range(round(rate * seconds)):
        t = index / rate
        # Three samples a picture at 60 a second: none repeats.
        left, top = round(180 * t), round(60 * t)
        here = slice(top, top + height), slice(left, left + width)
        across, down = width * (0.5 + 0.3 * np.sin(1.1 * t)), height * (0.5 + 0.25 * np.cos(0.9 * t))
        inside = ((x - across) / (0.16 * width)) ** 2 + ((y - down) / (0.3 * height)) ** 2 < 1
        moved = round(120 * (seconds - t))
        planes = (
            np.where(inside, 140 + 25 * front[:height, moved : moved + width], 118 + 36 * luma[here]),
            np.where(inside, 110, 128 + 14 * blue[here]),
            np.where(inside, 150, 128 + 14 * red[here]),
        )
        yield np.clip(np.stack(planes), 17, 234).astype(np.uint8)


def write_master(path, *, width=960, height=540, rate=60, seconds=3):
    """A clip of them with speech, coded so that nothing is lost, for ffmpeg to make others of."""
    raw = path.with_suffix(".f32")
    raw.write_bytes(speech_like(seconds).T.astype("<f4").tobytes())
    command = [ffmpeg_exe(), "-y", "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv444p", "-s", f"{width}x{height}",
               "-r", str(rate), "-i", "-", "-f", "f32le", "-ar", "48000", "-ac", "2", "-i", str(raw), "-c:v", "libx264",
               "-preset", "ultrafast", "-qp", "4", "-pix_fmt", "yuv444p", "-c:a", "pcm_s16le", str(path)]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        for planes in pictures(width, height, rate, seconds):
            process.stdin.write(planes.tobytes())
        process.stdin.close()
    assert process.returncode == 0
    raw.unlink()
    return path
