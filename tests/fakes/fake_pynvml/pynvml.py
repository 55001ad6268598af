"""A small NVML for machines without GPUs: names, classes and errors of nvidia-ml-py that `machine.gpus` uses.

Put this folder on PYTHONPATH. The cards stand in the JSON file that FAKE_NVML names, read at every call, so that a test
can take memory away or lose a card while a sweep runs (write it by rename):
    [{"name": "Fake", "uuid": "GPU-1", "total_gib": 24, "free_gib": 20, "lost": false, "users": [[1234, 18], [7, null]],
      "mig": [{"name": "one instance, same keys"}], "silent": ["nvmlDeviceGetMemoryInfo"]}]
All but the name is optional; `silent` lists functions that the card does not support. No FAKE_NVML: no driver.
"""

import json
import os
from pathlib import Path
from types import SimpleNamespace

NVML_ERROR_INVALID_ARGUMENT = 2
NVML_ERROR_NOT_SUPPORTED = 3
NVML_ERROR_NO_PERMISSION = 4
NVML_ERROR_NOT_FOUND = 6
NVML_ERROR_DRIVER_NOT_LOADED = 9
NVML_ERROR_LIBRARY_NOT_FOUND = 12
NVML_ERROR_GPU_IS_LOST = 15
NVML_ERROR_LIB_RM_VERSION_MISMATCH = 18

GIB = 1024**3
AS_BYTES = "FAKE_NVML_BYTES"  # set: texts come as bytes, as with older packages


class NVMLError(Exception):
    value = 999

    def __init__(self, value=None):
        super().__init__()
        self.value = type(self).value if value is None else value

    def __str__(self):
        return f"fake NVML error {self.value}"


class NVMLLibraryMismatchError(Exception):
    pass


class NVMLError_LibraryNotFound(NVMLError):
    value = NVML_ERROR_LIBRARY_NOT_FOUND


class NVMLError_GpuIsLost(NVMLError):
    value = NVML_ERROR_GPU_IS_LOST


class NVMLError_NotSupported(NVMLError):
    value = NVML_ERROR_NOT_SUPPORTED


class NVMLError_NotFound(NVMLError):
    value = NVML_ERROR_NOT_FOUND


class NVMLError_InvalidArgument(NVMLError):
    value = NVML_ERROR_INVALID_ARGUMENT


def _cards():
    path = os.environ.get("FAKE_NVML")
    if not path:
        raise NVMLError_LibraryNotFound
    return json.loads(Path(path).read_text(encoding="utf-8"))


def _card(handle, function):
    """A handle is (card,) or (card, MIG instance)."""
    cards = _cards()
    card = cards[handle[0]]
    if card.get("lost"):
        raise NVMLError_GpuIsLost
    if len(handle) > 1:
        card = card["mig"][handle[1]]
    if function in card.get("silent", ()):
        raise NVMLError_NotSupported
    return card


def _text(text):
    return text.encode() if os.environ.get(AS_BYTES) else text


def nvmlInit():
    _cards()


def nvmlShutdown():
    pass


def nvmlSystemGetDriverVersion():
    _cards()
    return _text("999.01")


def nvmlDeviceGetCount():
    return len(_cards())


def nvmlDeviceGetHandleByIndex(index):
    if not 0 <= index < len(_cards()):
        raise NVMLError_InvalidArgument
    _card((index,), "nvmlDeviceGetHandleByIndex")
    return (index,)


def nvmlDeviceGetName(handle):
    return _text(_card(handle, "nvmlDeviceGetName")["name"])


def nvmlDeviceGetUUID(handle):
    prefix = "MIG" if len(handle) > 1 else "GPU"
    card = _card(handle, "nvmlDeviceGetUUID")
    return _text(card.get("uuid", prefix + "-" + "-".join(f"{number:08d}" for number in handle)))


def nvmlDeviceGetMemoryInfo(handle, version=None):
    card = _card(handle, "nvmlDeviceGetMemoryInfo")
    if "mig" in card:
        raise NVMLError(NVML_ERROR_NO_PERMISSION)
    total = int(card.get("total_gib", 24) * GIB)
    free = int(card.get("free_gib", card.get("total_gib", 24)) * GIB)
    return SimpleNamespace(total=total, free=free, used=total - free)


def nvmlDeviceGetComputeRunningProcesses(handle):
    users = _card(handle, "nvmlDeviceGetComputeRunningProcesses").get("users", ())
    used = [(pid, None if gib is None else int(gib * GIB)) for pid, gib in users]
    return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in used]


def nvmlDeviceGetGraphicsRunningProcesses(handle):
    _card(handle, "nvmlDeviceGetGraphicsRunningProcesses")
    return []


def nvmlDeviceGetMigMode(handle):
    card = _card(handle, "nvmlDeviceGetMigMode")
    return [int("mig" in card)] * 2


def nvmlDeviceGetMaxMigDeviceCount(handle):
    _card(handle, "nvmlDeviceGetMaxMigDeviceCount")
    return 7


def nvmlDeviceGetMigDeviceHandleByIndex(handle, index):
    if index >= len(_card(handle, "nvmlDeviceGetMigDeviceHandleByIndex")["mig"]):
        raise NVMLError_NotFound
    return (*handle, index)
