"""Weights of networks: safetensors with a SHA-256 beside them, nothing that could run code when it is read.

The library is imported where a file is: whoever brings weights of its own (a check of a GPU) can do without it.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from torch import Tensor, nn

SHIPPED: Final = Path(__file__).parent / "weights"
SUFFIX: Final = ".safetensors"
MOST_BYTES: Final = 10 * 1024 * 1024


class WeightsError(Exception):
    """A file of weights that is not what it should be; its text says what, why and what to do."""


def write_weights(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> str:
    """Write weights, and their SHA-256 beside them as `sha256sum` does.

    Args:
        path: ends in ".safetensors".
        tensors: by name.
        about: kept in the file: what network it is of, its version and labels.
    Returns: the SHA-256 in hexadecimal.
    """
    from safetensors.torch import save as save_tensors

    path.parent.mkdir(parents=True, exist_ok=True)
    data = save_tensors({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata=dict(about))
    digest = hashlib.sha256(data).hexdigest()
    path.write_bytes(data)
    digest_path(path).write_text(f"{digest}  {path.name}\n", encoding="ascii")
    return digest


def digest_path(path: Path) -> Path:
    """Where the SHA-256 of a file of weights is."""
    return path.with_name(path.name + ".sha256")


def digest_of(path: Path) -> str:
    """The SHA-256 of the numbers in a file of weights, in hexadecimal, whatever else the file says of itself.

    So what was made with weights is still theirs when a point of theirs is written anew.

    Raises: WeightsError if it cannot be read, or is no safetensors file.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read the weights {path}: {error.strerror}; name a file that is there") from error
    header, numbers = _parts(data, path)
    header.pop("__metadata__", None)
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode() + numbers).hexdigest()


def _parts(data: bytes, path: Path) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file, and what lies behind it.

    Raises: WeightsError if there is none.
    """
    length = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + length])
    except ValueError as error:
        raise WeightsError(f"{path} is no safetensors file: {error}") from error
    if not isinstance(header, dict):
        raise WeightsError(f"{path} is no safetensors file: its header is no object")
    return header, data[8 + length :]


def read_weights(path: Path, network: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Weights of a network, and what the file says about itself.

    Args:
        path: of the file. Where its SHA-256 lies beside it, it has to be right; shipped weights always have one.
        network: the name that it has to give.
    Raises: WeightsError if it is no safetensors file, is too large, was changed, or is of another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load as load_tensors

    try:
        data = path.read_bytes() if path.stat().st_size <= MOST_BYTES else None
    except OSError as error:
        raise WeightsError(f"cannot read the weights {path}: {error.strerror}; name a file that is there") from error
    if data is None:
        raise WeightsError(f"{path} is larger than {MOST_BYTES} bytes, so it holds no weights of avjury's networks")
    beside = digest_path(path)
    wanted = beside.read_text(encoding="ascii").split()[0] if beside.exists() else None
    if wanted is None and path.parent == SHIPPED:
        raise WeightsError(f"{path} has no SHA-256 beside it; install avjury anew")
    if wanted is not None and hashlib.sha256(data).hexdigest() != wanted:
        raise WeightsError(f"{path} is not the file that {beside.name} was written for; get it anew")
    if data[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise WeightsError(f"{path} is a pickle, which could run any code; only safetensors are read")
    try:
        tensors = load_tensors(data)
    except SafetensorError as error:
        raise WeightsError(f"{path} is no safetensors file: {error}") from error
    about: dict[str, str] = _parts(data, path)[0].get("__metadata__", {})
    if about.get("network") != network:
        raise WeightsError(f"{path} is of the network {about.get('network')!r}, not of {network!r}")
    return tensors, about


def put_into(net: nn.Module, tensors: Mapping[str, Tensor], path: Path | None) -> None:
    """Give a network weights that were read.

    Args:
        net: of this version.
        tensors: by name.
        path: of the file; None for those of the package.
    Raises: WeightsError if they have other names or shapes than the network's, or are no finite numbers.
    """
    wanted = {name: tensor.shape for name, tensor in net.state_dict().items()}
    if {name: tensor.shape for name, tensor in tensors.items()} != wanted:
        raise WeightsError(f"{path} has tensors of another shape than this version's network; train it anew")
    if not all(math.isfinite(float(tensor.float().abs().sum())) for tensor in tensors.values()):
        raise WeightsError(f"{path} holds numbers that are none; train it anew")
    net.load_state_dict(dict(tensors))
