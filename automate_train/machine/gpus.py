"""This machine's GPUs, by NVML: which there are, how much of their memory is free, who uses it.

Covers: `snapshot`, which never raises (a lost card is a value); the reason why there is none; lists of devices as
people write them ("0,1", "2,3", all, UUIDs), turned into ids for CUDA_VISIBLE_DEVICES. The order is that of the PCI
bus, as in nvidia-smi, and executors set CUDA_DEVICE_ORDER=PCI_BUS_ID: a number means the same card here and for CUDA.
Not: which run gets which device (`training.placement`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ..errors import UserError
from ..records import GIB


class Gpu(NamedTuple):
    """One device as CUDA would use it: a card, or each instance of a card in MIG mode."""

    index: int  # type: ignore[assignment]  # tuple.index, which nobody calls on it
    """Its number for people. NVML's index; where cards are in MIG mode, their instances are counted instead of them."""
    uuid: str
    """Empty where NVML does not tell it."""
    name: str
    total: int
    """Bytes, as `free`."""
    free: int
    lost: bool = False
    """Fallen off the bus, or in a state in which nothing can start on it."""
    users: tuple[tuple[int, int | None], ...] = ()
    """(process id, bytes): None where the driver does not tell them (WSL2, permissions); largest first."""
    nameless: bool = False
    """It did not answer at first."""

    @property
    def id(self) -> str:
        """What this process calls it, from beginning to end: a card that tells its UUID later keeps its number."""
        return str(self.index) if self.nameless else self.uuid or str(self.index)


@cache
def _nvml() -> tuple[ModuleType | None, str]:
    """The library, started once for this process, or None and the reason."""
    try:
        import pynvml
    except ImportError:
        return None, "the Python package nvidia-ml-py is not installed"
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        if error.value == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND:
            return None, "no NVIDIA driver is installed (libnvidia-ml.so.1 is not found)"
        if error.value == pynvml.NVML_ERROR_DRIVER_NOT_LOADED:
            return None, "the NVIDIA driver is installed but not loaded"
        if error.value == pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH:
            return None, "the NVIDIA driver was updated while in use: restart the machine"
        return None, f"the NVIDIA driver does not answer: {error}"
    return pynvml, ""


def driver() -> str | None:
    """The driver's version, or None: then `why` tells the reason."""
    nvml, _ = _nvml()
    return _text(_call(nvml, "nvmlSystemGetDriverVersion")) or None if nvml else None


def why() -> str:
    """Why `snapshot` is empty, in words; empty when it is not."""
    reason = _nvml()[1]
    return reason or ("" if snapshot() else "the NVIDIA driver sees no GPU")


_known: dict[int, list[Gpu]] = {}
"""Card -> its devices when it last answered: a lost card can no longer tell its name."""

_nameless: set[int] = set()
"""Cards that did not answer at first: a sweep knows its devices by the ids that they had when it began."""


def snapshot() -> list[Gpu]:
    """All devices at this moment, in the order of the PCI bus; empty when there is no driver. Never raises."""
    nvml, _ = _nvml()
    if nvml is None:
        return []
    count = _call(nvml, "nvmlDeviceGetCount")
    found: list[Gpu] = []
    for card in range(len(_known) if count is None else count):  # None: the driver itself went away
        devices = _devices(nvml, card)
        if devices:
            devices = [gpu._replace(nameless=card in _nameless) for gpu in devices]
            _known[card] = devices
        elif card not in _known:
            _nameless.add(card)
        gone = [Gpu(0, "", "a card that does not answer", 0, 0)]
        found += devices or [gpu._replace(free=0, lost=True, users=()) for gpu in _known.get(card, gone)]
    return [gpu._replace(index=index) for index, gpu in enumerate(found)]


def cuda_names(ids: Sequence[str]) -> list[str]:
    """What CUDA_VISIBLE_DEVICES wants for these devices: UUIDs, or numbers where one of them has no UUID. CUDA does
    not read a list that mixes both."""
    if not any(map(str.isdecimal, ids)):
        return list(ids)
    known = {gpu.id: gpu for gpu in snapshot()}
    found = [known[each] for each in ids if each in known]
    if all(gpu.uuid for gpu in found):
        return [gpu.uuid for gpu in found]
    return [str(gpu.index) for gpu in found]


def _devices(nvml: ModuleType, card: int) -> list[Gpu]:
    """What CUDA can use of one card; empty when it is lost."""
    handle = _call(nvml, "nvmlDeviceGetHandleByIndex", card)
    if handle is None:
        return []
    mode = _call(nvml, "nvmlDeviceGetMigMode", handle)  # None where the card knows no MIG
    if not mode or not mode[0]:
        gpu = _device(nvml, handle)
        return [gpu] if gpu else []
    slots = range(_call(nvml, "nvmlDeviceGetMaxMigDeviceCount", handle) or 0)
    handles = [_call(nvml, "nvmlDeviceGetMigDeviceHandleByIndex", handle, slot) for slot in slots]
    instances = [gpu for each in handles if each is not None and (gpu := _device(nvml, each))]
    name = _text(_call(nvml, "nvmlDeviceGetName", handle))
    # CUDA starts nothing on a whole card in MIG mode.
    return instances or [Gpu(0, "", f"{name} (MIG mode without an instance)", 0, 0, lost=True)]


def _device(nvml: ModuleType, handle: object) -> Gpu | None:
    """One handle's values, or None when it is lost: memory is what every living card tells."""
    try:
        # Version 1: `free` is the same number as in version 2, which only splits `used` from what the driver
        # reserves, and it is there with drivers before 510, too.
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        total, free = memory.total, memory.free
    except nvml.NVMLError as error:
        if error.value != nvml.NVML_ERROR_NOT_SUPPORTED:
            return None
        total, free = _shared_memory()
    users: dict[int, int | None] = {}
    for kind in ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses"):
        for process in _call(nvml, kind, handle) or ():
            users[process.pid] = max(users.get(process.pid) or 0, process.usedGpuMemory or 0) or None
    return Gpu(
        index=0,
        uuid=_text(_call(nvml, "nvmlDeviceGetUUID", handle)),
        name=_text(_call(nvml, "nvmlDeviceGetName", handle)) or "GPU",
        total=total,
        free=free,
        users=tuple(sorted(users.items(), key=lambda user: -(user[1] or 0))),
    )


def _call(nvml: ModuleType, name: str, *args: object) -> Any:
    """A function's answer, or None where this card, driver, permission or version of the package has none."""
    others = getattr(nvml, "NVMLLibraryMismatchError", nvml.NVMLError)
    try:
        return getattr(nvml, name)(*args)
    except (nvml.NVMLError, others, AttributeError):
        return None


def _text(value: object) -> str:
    """Older versions of the package give bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def _shared_memory() -> tuple[int, int]:
    """(total, free) bytes of boards whose GPU shares the machine's memory: NVML has no number for them."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii", errors="replace").splitlines()
        kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines) if rest}
    except (OSError, ValueError, IndexError):
        return 0, 0
    return kib.get("MemTotal", 0) * 1024, kib.get("MemAvailable", 0) * 1024


def parse_devices(
    text: str | int, gpus: Sequence[Gpu], visible: str | None, key: str = "cuda_device", source: str = ""
) -> list[str]:
    """The ids that `text` means: numbers, the beginnings of UUIDs, or `all`, in the order as written.

    `visible` is the inherited CUDA_VISIBLE_DEVICES. As for any CUDA program, it limits what can be used and numbers
    count within it: with "2,3", 0 is the machine's GPU 2 and `all` is GPU 2 and 3; "" and "-1" leave nothing.
    `UserError` for a device that does not exist, is hidden, is listed twice, or when nothing is listed; `key` and
    `source` are where `text` was written.
    """
    usable = _visible(gpus, visible)
    within = "" if visible is None else f" (CUDA_VISIBLE_DEVICES={visible!r} of {len(gpus)} GPUs)"
    if not usable:
        raise UserError(f"no GPU can be used{within}", source=source, key=key, hint="on the CPU: --cpu N")
    parts = [part for piece in str(text).split(",") if (part := piece.strip())]
    if [part.lower() for part in parts] == ["all"]:
        return [gpu.id for gpu in usable]
    there = ", ".join(f"{number} ({gpu.name})" for number, gpu in enumerate(usable))
    if not parts:
        raise UserError("no device is listed", source=source, key=key, hint=f"all, or some of: {there}{within}")
    found: list[str] = []
    for part in parts:
        matches = _named(part, usable)
        if len(matches) != 1:
            message = f"{part!r} begins several UUIDs" if matches else f"there is no device {part!r}"
            raise UserError(message, source=source, key=key, hint=f"there are {there}{within}")
        if matches[0].id in found:
            raise UserError(f"device {part!r} is listed twice", source=source, key=key, hint="name it once")
        found.append(matches[0].id)
    return found


def _visible(gpus: Sequence[Gpu], visible: str | None) -> list[Gpu]:
    """What CUDA sees: the list up to the first entry that names nothing, as its documentation has it."""
    if visible is None:
        return list(gpus)
    found: list[Gpu] = []
    for part in visible.split(","):
        matches = _named(part.strip(), gpus)
        if len(matches) != 1:
            break
        found += [gpu for gpu in matches if gpu not in found]
    return found


def _named(part: str, gpus: Sequence[Gpu]) -> list[Gpu]:
    if part.isdecimal():
        return list(gpus[int(part) : int(part) + 1]) if len(part) < 6 else []
    word = part.lower()
    if not word.startswith(("gpu-", "mig-")):
        return []
    found = [gpu for gpu in gpus if gpu.uuid.lower().startswith(word)]
    return [gpu for gpu in found if gpu.uuid.lower() == word] or found


def users_text(gpu: Gpu, most: int = 3) -> str:
    """`pid 1234 uses 18 GiB, pid 7 uses it`: the largest users first; empty when there are none or none is told."""
    parts = [f"pid {pid} uses {f'{round(used / GIB, 1):g} GiB' if used else 'it'}" for pid, used in gpu.users[:most]]
    more = len(gpu.users) - most
    return ", ".join(parts) + (f" and {more} more" if more > 0 else "")
