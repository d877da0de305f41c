"""A mounted file system on a disk whose power can be taken away. Needs root, /dev/fuse and loop devices."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

from tests.pacs_receiver.process import ROOT
from tests.waiting import wait_until

MAKE = {
    "ext4": ("mkfs.ext4", "-q", "-E", "nodiscard"),
    "xfs": ("mkfs.xfs", "-q", "-K"),
    "btrfs": ("mkfs.btrfs", "-q", "-K", "-f"),
}
"""How each file system is made: by default, but without discarding first what a new disk does not hold."""

CHECK = {
    "ext4": ("e2fsck", "-fn"),
    "xfs": ("xfs_repair", "-n"),
    "btrfs": ("btrfs", "check", "--readonly"),
}
"""How each file system is checked without being changed, when nothing mounts it."""


_MAY_MOUNT = 1 << 21  # CAP_SYS_ADMIN, capabilities(7)


def why_not() -> str:
    """Say what the machine itself lacks for a :class:`VolatileDisk`, what no package brings; empty when nothing."""
    status = Path("/proc/self/status").read_text()
    capabilities = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))
    if not int(capabilities, 16) & _MAY_MOUNT:
        return "mounting needs root"
    devices = [device for device in ("/dev/fuse", "/dev/loop-control") if not Path(device).exists()]
    return f"no {' and no '.join(devices)}" if devices else ""


def missing_program(file_system: str = "ext4") -> str:
    """Say which program is not here, though Debian has a package of it; empty when all are."""
    needed = ("fusermount3", "losetup", MAKE[file_system][0], CHECK[file_system][0])
    return next((f"no {program}" for program in needed if shutil.which(program) is None), "")


class VolatileDisk:
    """A new file system on a disk with a write cache, mounted at :attr:`folder` for as long as the context lasts."""

    def __init__(self, file_system: str = "ext4", *, size: int = 512 << 20, flush_seconds: float = 0.004) -> None:
        self.file_system = file_system
        self._size = size
        self._flush_seconds = flush_seconds
        self._place = Path(tempfile.mkdtemp(prefix="volatile-disk-"))
        self.folder = self._place / "mounted"
        self._image = self._place / "fuse" / "disk"
        self._log = self._place / "log"
        self._device = ""
        self._is_mounted = False

    def __enter__(self) -> Self:
        # whoever may use what is on the disk must come there
        self._place.chmod(0o711)
        self.folder.mkdir()
        self._image.parent.mkdir()
        with self._log.open("wb") as log:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "tests.pacs_receiver.volatile_cache",
                 str(self._image.parent), str(self._size), str(self._flush_seconds)],
                cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        try:
            wait_until(self._is_served, what="the disk's image is there")
            self._attach()
            _run(*MAKE[self.file_system], self._device)
            self._mount()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(subprocess.CalledProcessError, TimeoutError):
            self._unmount()
        with contextlib.suppress(subprocess.CalledProcessError):
            _run("umount", "--lazy", str(self._image.parent))
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(60)
        self._server.stdout.close()
        shutil.rmtree(self._place)

    def cut_power(self, seed: int) -> dict[str, int]:
        """Let every operation fail from now on. Return what became of the writes in the cache, and ``flushes``."""
        return self._order("cut", seed=seed)

    def restore_power(self) -> None:
        """Mount what is left. Nobody may use the folder: the machine was off."""
        self._unmount()
        self._order("power")
        self._attach()
        self._mount()

    def check(self) -> str:
        """Unmount, and return what the file system's own checker complains about: the proof that it fits this disk."""
        self._unmount()
        self._attach()
        checked = subprocess.run(
            [*CHECK[self.file_system], self._device], capture_output=True, text=True, check=False, timeout=120
        )
        self._mount()
        return checked.stdout + checked.stderr if checked.returncode else ""

    @property
    def used(self) -> float:
        """The part of the file system that is in use."""
        usage = shutil.disk_usage(self.folder)
        return usage.used / usage.total

    def _is_served(self) -> bool:
        if self._server.poll() is not None:
            raise RuntimeError(f"the disk's server ended at start: {self._log.read_text()}")
        return self._image.exists()

    def _order(self, command: str, **arguments: int) -> dict[str, int]:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps({"do": command, **arguments}) + "\n")
        self._server.stdin.flush()
        answer: dict[str, int] = json.loads(self._server.stdout.readline())
        return answer

    def _attach(self) -> None:
        self._device = _run("losetup", "--find", "--show", str(self._image))
        # else the kernel would take the disk for one that needs no flush
        cache = Path(f"/sys/block/{Path(self._device).name}/queue/write_cache").read_text().strip()
        assert cache == "write back", f"{self._device} is taken for a disk with a {cache} cache"

    def _mount(self) -> None:
        _run("mount", "-t", self.file_system, self._device, str(self.folder))
        self._is_mounted = True

    def _try_to_unmount(self) -> bool:
        return subprocess.run(["umount", str(self.folder)], check=False, capture_output=True).returncode == 0

    def _unmount(self) -> None:
        if self._is_mounted:
            # the last threads of a process that was killed may still be on their way out of it
            wait_until(self._try_to_unmount, timeout=30, what=f"{self.folder} is unmounted")
            self._is_mounted = False
        if self._device:
            _run("losetup", "--detach", self._device)
            if self.file_system == "btrfs":
                # it remembers devices that it has seen
                subprocess.run(["btrfs", "device", "scan", "--forget"], check=False, capture_output=True)
            self._device = ""


def _run(*command: str) -> str:
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if finished.returncode:
        raise subprocess.CalledProcessError(finished.returncode, command, finished.stdout, finished.stderr)
    return finished.stdout.strip()
