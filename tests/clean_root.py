"""A root of its own for a program, as a container would have it: read-only, without capabilities, a network without
anybody else in it. Needs root and util-linux; made of mounts that end with the last process in it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

# Of the host's: programs and libraries, and what a slim base has of configuration. No home, no repository.
_ETC = ("ssl", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "nsswitch.conf", "alternatives")
_SCRIPT = r"""
set -eu
root=$1; shift
mount --make-rprivate /
mount -t tmpfs -o mode=755,size=64m tmpfs "$root"
for name in bin sbin lib lib32 lib64; do
    if [ -L "/$name" ]; then cp -d "/$name" "$root/$name"; fi
done
mkdir "$root/etc" "$root/proc" "$root/dev" "$root/tmp"
for name in $ETC; do if [ -e "/etc/$name" ]; then cp -a "/etc/$name" "$root/etc/"; fi; done
echo 'root:x:0:0::/:/bin/sh' > "$root/etc/passwd"
echo '127.0.0.1 localhost' > "$root/etc/hosts"
mount -t tmpfs -o mode=1777,size=64m,noexec,nosuid,nodev tmpfs "$root/tmp"
for name in null zero full random urandom; do touch "$root/dev/$name"; mount --bind "/dev/$name" "$root/dev/$name"; done
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    mkdir -p "$root$3"
    mount --bind "$2" "$root$3"
    if [ "$1" = ro ]; then mount -o remount,bind,ro,nosuid "$root$3"; fi
    shift 3
done
shift
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -o remount,ro "$root"
python3 - <<'END'
import fcntl, socket, struct
with socket.socket() as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: up, running
END
exec chroot "$root" "$@"
"""


class CleanRoot:
    """A program that runs in a root of its own, as process 1.

    Args:
        folder: an empty one, where the root is put together.
        user: whom it runs as.
        environment: all of it.
        read_only, writable: folders of the host by the place where they are seen.
        command: with its arguments.
        log: where stdout and stderr go.
    """

    def __init__(self, folder, user, environment, read_only, writable, command, log):
        self.folder = folder
        self._as_user = ["/usr/bin/env", "-i", *(f"{key}={value}" for key, value in environment.items()),
                         "setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs",
                         "--bounding-set=-all", "--inh-caps=-all"]  # fmt: skip
        ours = {prefix: os.path.realpath(prefix) for prefix in (sys.base_prefix, sys.prefix) if prefix != "/usr"}
        seen = {"/usr": "/usr", **ours, **read_only}
        mounts = [part for place, of in seen.items() for part in ("ro", str(of), place)]
        mounts += [part for place, of in writable.items() for part in ("rw", str(of), place)]
        with Path(log).open("ab") as output:
            self._process = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child",
                 "sh", "-c", _SCRIPT, "sh", str(folder), *mounts, "--", *self._as_user, *command],
                stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "ETC": " ".join(_ETC)})  # fmt: skip

    def _first(self):
        """Its process 1, by the number that the host knows it by; None while there is none."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return int(children[0]) if children else None

    def run(self, *command, as_root=False, seconds=30):
        """Run a command inside, as its user; gives what subprocess.run gives, a failure before there is an inside."""
        if self._first() is None:
            return subprocess.CompletedProcess(command, 1, "", "not started yet")
        inside = ["nsenter", "-t", str(self._first()), "-m", "-p", "-n", "-r", "-w/"]
        return subprocess.run([*inside, *([] if as_root else self._as_user), *command],
                              capture_output=True, text=True, timeout=seconds, check=False)  # fmt: skip

    def running(self):
        """Whether it has not ended."""
        return self._process.poll() is None

    def stop(self, seconds):
        """SIGTERM to its process 1, as a container engine does; gives its exit code, kills it after so many seconds."""
        os.kill(self._first(), signal.SIGTERM)
        try:
            return self._process.wait(seconds)
        finally:
            self.kill()

    def kill(self):
        """End all that is in it: what ends process 1 of a namespace ends the namespace."""
        if self._process.poll() is None:
            first = self._first()
            os.kill(self._process.pid if first is None else first, signal.SIGKILL)
            self._process.wait(20)
