"""How far convolutions in bfloat16 may take what the audio network says from what it says in float32."""

import torch
from torch import nn
from torch.nn import functional

from models.audio_net import _MIDDLE_DB, _SCALE_DB

# Eight significant bits: a number is rounded by at most 2**-8 of itself, to either side alike.
_ROUNDING = 2.0**-8 / 3**0.5
# Of the errors' standard deviation; beyond are 2e-9 of what is normally distributed.
_SIGMAS = 6


class _Uncertain:
    """Values, and the standard deviations of their errors."""

    def __init__(self, value, error):
        self.value, self.error = value, error

    def rounded(self):
        return _Uncertain(self.value, torch.hypot(self.error, _ROUNDING * self.value))

    def through(self, layer):
        """A convolution whose sums are in float32: its weights were rounded, and so is what comes out."""
        count, channels = layer.weight.shape[:2]
        weights = layer.weight.abs().transpose(0, 1).reshape(-1, 1, *layer.weight.shape[2:])
        # Of one channel the errors beside each other add up, of several their squares do.
        sums = functional.conv2d(self.error, weights, None, layer.stride, layer.padding, groups=channels)
        squares = sums.reshape(len(sums), channels, count, *sums.shape[2:]).square().sum(dim=1)
        of_weights = functional.conv2d(self.value.square(), layer.weight.square(), None, layer.stride, layer.padding)
        squares = squares + _ROUNDING**2 * (of_weights + layer.bias.square()[None, :, None, None])
        return _Uncertain(layer(self.value), squares.sqrt()).rounded()

    def relu(self):
        return _Uncertain(self.value.relu(), self.error * (self.value > 0))

    def __add__(self, other):
        return _Uncertain(self.value + other.value, torch.hypot(self.error, other.error)).rounded()

    def over_time(self):
        """(N, channels, numbers): errors of the means over time, which are no larger than theirs, and of the peaks."""
        return torch.cat([self.error.mean(dim=3), self.error.amax(dim=3)], dim=2)


def logit_bounds(net, sound):
    """(N, labels): how far each logit may be from that of float32.

    Args:
        net: folded, float32.
        sound: as the network is given it.
    """
    mel = (sound.mel - _MIDDLE_DB) / _SCALE_DB
    mel = torch.cat([mel, net.height.expand(len(mel), 1, -1, mel.shape[3])], dim=1)
    x, wave = (_Uncertain(given, torch.zeros_like(given)).rounded() for given in (mel, sound.shape[:, :, None]))
    for layer in net.shape:
        wave = wave.through(layer[0]).relu()
    for index, layer in enumerate(net.layers):
        if index == net.joins:
            x = x + wave
        if isinstance(layer, nn.Sequential):
            x = x.through(layer[0]).relu()
        else:
            x = (x + x.through(layer.one[0]).relu().through(layer.two[0])).relu()
    found = []
    hook = net.hidden.register_forward_hook(lambda layer, given, result: found.append(result > 0))
    net(sound)
    hook.remove()
    # What each number that is told of a channel is worth to each logit; floors and lines of the mains have no error.
    told = net.hidden.in_features
    behind = net.head.weight[:, told:] * found[0][:, None].float()  # (N, labels, hidden)
    worth = (net.head.weight[:, :told] + behind @ net.hidden.weight).abs()
    squares, begin = 0, 0
    for part in (x, wave):
        error = part.over_time()  # (N, channels, 2 * heights)
        size = error[0].numel()
        own = worth[..., begin : begin + size].reshape(*worth.shape[:2], 2, error.shape[1], -1)  # means, then peaks
        own = own.transpose(2, 3).flatten(3)
        squares = squares + (own * error[:, None]).sum(dim=3).square().sum(dim=2)
        begin += size
    return _SIGMAS * squares.sqrt()
