"""What an ingest process may still open: what Python, libav, the C library's names and TLS need, and its own sources.

Everything else of the file system is closed to it (engine/landlock.py), for writing without exception.
"""

import contextlib
import os
import ssl
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import engine
from engine.ingest.url_policy import is_device, is_local, local_path, scheme_of

# Shared libraries, and what they read of the machine.
_FOLDERS: Final = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64", "/nix/store"),
    *("/usr/share/zoneinfo", "/usr/share/alsa", "/etc/alsa", "/sys/devices/system/cpu", "/run/systemd/resolve"),
    # Certificates; keys of servers lie in /etc/ssl/private, which is none of these.
    *("/etc/ssl/certs", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/etc/ca-certificates"),
    *("/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted", "/usr/share/pki/ca-trust-source", "/etc/gnutls"),
)
# How names are resolved, and where shared libraries are.
_FILES: Final = (
    *("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services"),
    *("/etc/protocols", "/etc/networks", "/etc/localtime", "/etc/asound.conf", "/etc/ld.so.cache", "/etc/ld.so.conf"),
    *("/etc/ssl/openssl.cnf", "/etc/pki/tls/openssl.cnf", "/etc/pki/tls/cert.pem", "/dev/urandom", "/dev/random"),
)
_DEVICES: Final = ("/dev/null", "/dev/zero")
_SOUND_CARDS: Final = "/dev/snd"
# A source that lies directly in one of these opens no folder: only the file itself.
_TOO_MUCH: Final = frozenset(
    ("/", "/etc", "/root", "/home", "/proc", "/sys", "/dev", "/run", "/var", "/var/lib", "/usr", "/boot")
)


def _with_targets(names: Iterable[str | os.PathLike[str]]) -> Iterator[Path]:
    """Each path, and where it leads as a link."""
    for name in names:
        path = Path(name)
        yield path
        with contextlib.suppress(OSError, RuntimeError):
            if (target := path.resolve()) != path:
                yield target


def system_paths() -> list[Path]:
    """What every ingest process may read."""
    libraries = [path for path in sys.path if path.endswith(("-packages", ".zip")) or "python" in Path(path).name]
    # Packages that bring sources may lie elsewhere (PYTHONPATH).
    libraries += [path for path in sys.path if path and any(Path(path).glob("*.dist-info"))]
    libraries += [str(Path(prefix) / "lib") for prefix in {sys.prefix, sys.base_prefix, sys.exec_prefix}]
    own = Path(engine.__file__).parents[1]
    libraries += [str(own / package) for package in ("engine", "kernels", "models")]
    libraries += [path for path in os.environ.get("LD_LIBRARY_PATH", "").split(":") if path]
    authorities = ssl.get_default_verify_paths()
    named = [path for path in (authorities.cafile, authorities.capath) if path]
    named += [
        path for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") for path in os.environ.get(name, "").split(":") if path
    ]
    return list(_with_targets([*_FOLDERS, *_FILES, *libraries, *named]))


def system_devices() -> list[Path]:
    """What every ingest process may also write to."""
    return [Path(name) for name in _DEVICES]


def paths_of(url: str) -> frozenset[str]:
    """What has to be opened for a source, besides the network: of a file its folder, where playlists' segments lie too.

    Args:
        url: of the stream.
    Returns: absolute paths; none for a source of the network.
    """
    if is_device(url):
        if scheme_of(url) == "alsa":
            return frozenset((_SOUND_CARDS,))
        return frozenset((url.partition(":")[2].partition("?")[0],))
    if not is_local(url):
        return frozenset()
    path = Path(os.path.abspath(local_path(url)))
    found = set()
    for one in _with_targets([path]):
        found.add(str(one if str(one.parent) in _TOO_MUCH else one.parent))
    return frozenset(found)


def split_paths(paths: Iterable[str]) -> tuple[list[Path], list[Path]]:
    """Of what sources need, what is read, and what is a device."""
    devices = [Path(path) for path in paths if path.startswith("/dev/")]
    return [Path(path) for path in paths if not path.startswith("/dev/")], devices


class Replaced:
    """Notices that a file of the system was replaced by another of the same name, which this process may not open.

    So it is with /etc/resolv.conf where a machine changes its network. A process that is started anew may.
    """

    def __init__(self) -> None:
        self._files = [name for name in _FILES if self._opens(name)]

    def look(self) -> str | None:
        """The file, if there is one."""
        return next((name for name in self._files if os.path.exists(name) and not self._opens(name)), None)

    @staticmethod
    def _opens(name: str) -> bool:
        try:
            with open(name, "rb"):
                return True
        except OSError:
            return False
