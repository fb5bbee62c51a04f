"""Token and certificates for the cluster of `avjury bench cluster-failures`, and who has not these."""

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

STRANGER_SECONDS: Final = 60.0


def secure(folder: Path) -> dict[str, str]:
    """Token and certificates as deploy/ray/certificate.sh says. Returns: the variables that have Ray use them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent: it tells the address that others see, as Ray finds it
        address = probe.getsockname()[0]
    authority = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:3072",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=avjury cluster",
    ]
    files = ["-keyout", str(folder / "ca.key"), "-out", str(folder / "ca.crt")]
    subprocess.run([*authority, *files], check=True, capture_output=True)
    script = Path(__file__).parents[2] / "deploy" / "ray" / "certificate.sh"
    subprocess.run([str(script), str(folder), str(folder / "certificate"), address], check=True)
    (folder / "ray.token").write_text(secrets.token_hex(32))
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "ray.token"),
        "RAY_USE_TLS": "1",
        "RAY_TLS_SERVER_CERT": str(folder / "certificate" / "tls.crt"),
        "RAY_TLS_SERVER_KEY": str(folder / "certificate" / "tls.key"),
        "RAY_TLS_CA_CERT": str(folder / "certificate" / "ca.crt"),
    }


def refused_without(address: str, variables: Sequence[str]) -> bool:
    """Whether a client that has not these variables cannot come in."""
    environment = {name: value for name, value in os.environ.items() if name not in variables}
    script = f"import ray; ray.init(address={address!r}, log_to_driver=False); print(ray.cluster_resources())"
    command = [sys.executable, "-c", script]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=STRANGER_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return True  # it goes on trying
    return done.returncode != 0
