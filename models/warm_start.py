"""Starting a training from weights that are folded for use, as shipped ones are."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from models.artifact_net import Residual
from models.weight_files import WeightsError


def unfold(net: nn.Module, tensors: Mapping[str, Tensor], inputs: Tensor) -> None:
    """Give a network with normalisations the function of one into whose convolutions they were folded.

    Each normalisation takes the spread of what it sees of `inputs`, and undoes it. So training goes on where it ended,
    with means that fit. A residual block that the folded network does not have begins by doing nothing.

    Args:
        net: new; its convolutions without a bias are each followed by a normalisation.
        tensors: of the folded network, or of one with fewer residual blocks.
        inputs: a batch of what it is trained on.
    Raises: WeightsError if they are another network's.
    """
    pairs = {
        name: (part[0], part[1]) for name, part in net.named_modules()
        if isinstance(part, nn.Sequential) and isinstance(part[0], nn.Conv2d) and isinstance(part[1], nn.BatchNorm2d)
    }  # fmt: skip
    biases = {f"{name}.0.bias" for name in pairs}
    added = [
        (name, part) for name, part in net.named_modules()
        if isinstance(part, Residual) and not any(other.startswith(f"{name}.") for other in tensors)
    ]  # fmt: skip
    for name, part in added:
        norm = part.two[1]
        assert isinstance(norm, nn.BatchNorm2d)
        nn.init.zeros_(norm.weight)
        for inner in (f"{name}.one", f"{name}.two"):
            biases.discard(f"{inner}.0.bias")
            del pairs[inner]
    plain = {name: tensor for name, tensor in tensors.items() if name not in biases}
    wanted = {
        name: tensor.shape for name, tensor in net.state_dict().items()
        if not _is_of_norm(name, pairs) and not any(name.startswith(f"{of}.") for of, _ in added)
    }  # fmt: skip
    if {name: tensor.shape for name, tensor in plain.items()} != wanted or not biases <= set(tensors):
        raise WeightsError("these weights have other tensors than the network to train; begin without them")
    net.load_state_dict(plain, strict=False)
    handles = [
        conv.register_forward_hook(_fit(norm, tensors[f"{name}.0.bias"])) for name, (conv, norm) in pairs.items()
    ]
    training = net.training
    net.eval()
    with torch.no_grad():
        net(inputs)
    for handle in handles:
        handle.remove()
    net.train(training)


def _is_of_norm(name: str, pairs: Mapping[str, object]) -> bool:
    return any(name.startswith(f"{pair}.1.") for pair in pairs)


def _fit(norm: nn.BatchNorm2d, bias: Tensor) -> Callable[[nn.Module, object, Tensor], None]:
    """A hook of the convolution before a normalisation that makes both do what the folded convolution did."""

    def hook(_module: nn.Module, _inputs: object, out: Tensor) -> None:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(out.mean(dim=(0, 2, 3)))
        norm.running_var.copy_(out.var(dim=(0, 2, 3)))
        norm.weight.copy_(torch.sqrt(norm.running_var + norm.eps))
        norm.bias.copy_(norm.running_mean + bias.to(out.device))

    return hook
