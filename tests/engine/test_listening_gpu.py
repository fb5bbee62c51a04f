"""The audio network on a GPU: what it says is what it says on the CPU, whatever is heard beside it."""

import numpy as np
import pytest
import torch
from made_sound import music_like, noise_like
from sixteen_bits import logit_bounds

from benchmarks.gpu_kernels import on_a_side_stream
from engine.measure.graphs import record_on
from engine.measure.listening import CUDA_BATCH, AudioNetworkUse, Listening
from engine.measure.listening_table import WindowInputs
from models.audio_hearing import WINDOW_SAMPLES
from models.audio_weights import load_audio


def windows():
    """CUDA_BATCH of music and noises, some of it clipped."""
    made = [maker(2.0, seed=n) for n in range(CUDA_BATCH // 2) for maker in (music_like, noise_like)]
    assert made[0].shape == (2, WINDOW_SAMPLES)
    return torch.from_numpy(np.stack([part.clip(-0.05, 0.05) if n % 3 == 0 else part for n, part in enumerate(made)]))


@pytest.mark.gpu
def test_what_the_audio_network_says_on_a_gpu_is_what_it_says_on_the_cpu():
    audio, sound = load_audio(), windows().float()
    use = AudioNetworkUse(audio, 1.0)
    own = Listening(torch.device("cpu"), 1, use).said_of(sound).logit()
    with torch.inference_mode():
        bounds = logit_bounds(audio.net, audio.hearing(sound))
    device = torch.device("cuda", torch.cuda.current_device())
    with on_a_side_stream(device):
        said = Listening(device, 1, use).said_of(sound.to(device)).cpu().logit()
    # Beside what 16 bits do: another library's spectra, whose sums of 2048 and 48000 terms end otherwise.
    apart = (said - own).abs()
    assert bool((apart <= bounds + 0.02).all()), float((apart - bounds).max())


@pytest.mark.gpu
def test_what_is_played_back_on_a_gpu_is_what_was_launched_whatever_is_beside_it():
    sound = windows().float()
    device = torch.device("cuda", torch.cuda.current_device())
    with on_a_side_stream(device):
        listening = Listening(device, 2 * CUDA_BATCH, AudioNetworkUse(load_audio(), 1.0))
        inputs = WindowInputs(2 * CUDA_BATCH, device)
        inputs.slots.copy_(torch.arange(2 * CUDA_BATCH))
        inputs.windows.copy_(torch.cat([sound, sound.flip(0)]))
        launched = listening._launch(inputs).clone()
        recording, result = record_on(device)(lambda: listening._launch(inputs))
        inputs.windows.copy_(torch.cat([sound.flip(0), sound]))
        recording.replay()
        played = result.cpu()
    assert torch.equal(played[:CUDA_BATCH], launched[CUDA_BATCH:].cpu())
    assert torch.equal(played[CUDA_BATCH:], launched[:CUDA_BATCH].cpu())
