"""Which GPUs of this machine are taken by a run of automate-train, of whatever sweep and user.

Covers: taking devices for a run, all of them or none; who has taken one. One file of the machine carries a lock for
each device: an "open file description" lock (fcntl(2)) on the byte whose place is a hash of the device's UUID. The
kernel releases it when the last descriptor is closed on which it was taken. A sweep has one, and the shell of its run
inherits it; so a device is taken for as long as either lives, and nothing stale is left by a kill or a restart.
Not: which run gets which device (`training.placement`), what other programs do on it (`gpus`). A container that shares
GPUs but not the folder is not seen, unless `AUTOMATE_TRAIN_RESERVATIONS` names a folder that both see.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import stat
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

FOLDER = "AUTOMATE_TRAIN_RESERVATIONS"
"""The environment variable that names another folder."""
LOCKS = "automate-train-gpus"
FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""Other users can put anything under our names: no link is followed, and no pipe is waited for."""


def folder() -> Path:
    """The first folder that every user of the machine may write to, and that is not emptied when a user logs out (as
    /dev/shm is). Whether it is one does not depend on who asks, so all agree."""
    if given := os.environ.get(FOLDER):
        return Path(given)
    for path in (Path("/run/lock"), Path("/tmp")):
        with contextlib.suppress(OSError):
            if path.stat().st_mode & (stat.S_ISVTX | stat.S_IWOTH) == stat.S_ISVTX | stat.S_IWOTH:
                return path
    return Path("/tmp")


def problem() -> str:
    """Why devices cannot be reserved, in words; empty when they can. Nothing is created."""
    try:
        taken([""])
    except OSError as error:
        return f"{folder() / LOCKS}: {error.strerror}"
    if not os.path.exists(folder() / LOCKS) and not os.access(folder(), os.W_OK | os.X_OK):
        return f"no file can be made in {folder()}"
    return ""


def take(devices: Sequence[str], sweep: Path) -> int | None:
    """The descriptor that holds these devices (UUIDs) until it is closed, wherever it is inherited; None when one of
    them is taken. `OSError`: devices cannot be reserved here."""
    fd = _open(LOCKS)
    try:
        for device in sorted(devices):  # all in one order: of two that want the same devices, one gets them
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _lock(device))
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)  # out of the way of what a child gets as 0 to 9
    except BlockingIOError:
        return None
    finally:
        os.close(fd)  # `high` keeps the locks
    for device in devices:
        with contextlib.suppress(OSError):  # only people need it
            _tell(device, sweep)
    return high


def taken(devices: Iterable[str]) -> dict[str, str]:
    """Those of the devices that are taken -> by whom: `another sweep (pid 1234, /data/sweeps/boy)`."""
    try:
        fd = os.open(folder() / LOCKS, os.O_RDONLY | FLAGS)
    except FileNotFoundError:
        return {}
    try:
        return {device: _told(device) for device in devices if _is_locked(fd, device)}
    finally:
        os.close(fd)


def _is_locked(fd: int, device: str) -> bool:
    """Asked without taking the lock, so that nobody who tries to take it meanwhile fails."""
    kind: int = struct.unpack_from("h", fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _lock(device)))[0]
    return kind != fcntl.F_UNLCK


def _lock(device: str) -> bytes:
    """A `struct flock` for the device's byte."""
    place = int.from_bytes(hashlib.blake2b(device.encode(), digest_size=7).digest(), "big")
    return struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0)


def _open(name: str) -> int:
    """A file that all users share; made when it is not there."""
    path = folder() / name
    for _ in range(3):
        try:
            fd = os.open(path, os.O_RDWR | FLAGS)
        except FileNotFoundError:
            # O_EXCL: the kernel refuses to "create" another user's file in such a folder (fs.protected_regular).
            try:
                fd = os.open(path, os.O_RDWR | FLAGS | os.O_CREAT | os.O_EXCL, 0o666)
            except FileExistsError:
                continue
            os.fchmod(fd, 0o666)  # whatever the umask
        about = os.fstat(fd)
        if stat.S_ISREG(about.st_mode) and about.st_nlink == 1:  # not a second name of somebody's own file
            return fd
        os.close(fd)
        break
    raise OSError(0, "is not a file of automate-train", str(path))


def _holder(device: str) -> str:
    """The name of the file that says who holds a device; what it says counts only while the device is taken."""
    return f"{LOCKS}-{re.sub('[^A-Za-z0-9-]', '_', device)}"


def _tell(device: str, sweep: Path) -> None:
    fd = _open(_holder(device))
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps({"pid": os.getpid(), "sweep": str(sweep)}).encode(), 0)
    finally:
        os.close(fd)


def _told(device: str) -> str:
    try:
        fd = os.open(folder() / _holder(device), os.O_RDONLY | FLAGS)
    except OSError:
        return "another sweep"
    try:
        told = json.loads(os.read(fd, 4096))
        pid, sweep = int(told["pid"]) % 2**31, str(told["sweep"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return "another sweep"
    finally:
        os.close(fd)
    # Anybody may have written it: nothing in it reaches the terminal but printable letters.
    return f"another sweep (pid {pid}, {''.join(letter if letter.isprintable() else '?' for letter in sweep)})"
