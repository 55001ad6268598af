"""The hook: runs a trainer's script unchanged and writes what it sees of the training to `<attempt>/events.jsonl`.

    python <attempt>/hook/run.py <script> <arguments of the script>

Covers: the script runs as if it had been started itself (argv, sys.path, `__main__`, exit code, traceback); the events
`begin`, `training`, `metrics`, `checkpoint`, `tracker`, `picture`, `trouble`, `waits`, `waited`, `end`; the process's
title. Only the first process of a run writes. Not: which of the trainer's functions are changed (`hook_patches`), the
user's trackers (`hook_live_trackers`), how a line is written (`hook_events`). Standard library only; an error in the
hook becomes an event and never a failed training.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._types import Settings
    from .hook_patches import Patches


def attempt_folder() -> str | None:
    """From the environment, or the folder that this file was copied into; None: no events are wanted."""
    folder = os.environ.get("AUTOMATE_TRAIN_ATTEMPT")
    if folder:
        return folder
    above = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return above if os.path.exists(os.path.join(above, "hook.json")) else None


def read_settings(folder: str) -> Settings:
    with open(os.path.join(folder, "hook.json"), encoding="utf-8") as file:
        settings: Settings = json.load(file)
    if not isinstance(settings, dict):
        raise ValueError("hook.json must hold an object")
    return settings


def set_title(title: str) -> None:
    """What ps and nvidia-smi show: all of it with setproctitle, else the 15 bytes that the kernel keeps."""
    title = title if title.startswith("python/") else f"python/{title}"
    try:
        from setproctitle import setproctitle  # type: ignore[import-not-found]
    except ImportError:
        import ctypes  # not at the top: the script must not find more modules imported than it needs

        ctypes.CDLL(None).prctl(15, title.encode()[:15], 0, 0, 0)  # PR_SET_NAME
    else:
        setproctitle(title)


def begin() -> Patches | None:
    """None when the hook cannot work: the training starts all the same."""
    here = os.path.dirname(os.path.abspath(__file__))
    keep = sys.dont_write_bytecode
    try:
        sys.dont_write_bytecode = True  # no __pycache__ in the attempt's folder
        sys.path.insert(0, here)
        return start()
    except Exception as error:
        print(f"automate-train: the hook does not work: {error}", file=sys.stderr)
        return None
    finally:
        sys.path.remove(here)
        sys.dont_write_bytecode = keep


def start() -> Patches:
    import hook_events  # type: ignore[import-not-found]
    import hook_patches  # type: ignore[import-not-found]

    folder = attempt_folder()
    first = os.environ.get("RANK", "0") == "0"
    events = hook_events.Events(os.path.join(folder, "events.jsonl") if folder and first else None)
    events.write("begin", pid=os.getpid())
    settings: Settings = {}
    try:
        settings = read_settings(folder) if folder else {}
        if settings.get("process_title"):
            set_title(str(settings["process_title"]))
    except Exception as error:
        events.trouble("hook.json", error)
    trackers = None
    if settings.get("trackers"):  # only then: most runs do without
        try:
            import hook_live_trackers  # type: ignore[import-not-found]

            trackers = hook_live_trackers.LiveTrackers(events, settings, folder)
        except Exception as error:
            events.trouble("trackers", error)
    patches: Patches = hook_patches.Patches(events, settings, trackers)
    patches.guarded(patches.install)()
    return patches


def peak_memory() -> int | None:
    """Bytes: the most that torch has reserved on this process's GPUs; without a GPU, the most memory of the process."""
    try:
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
            return int(sum(map(torch.cuda.max_memory_reserved, range(torch.cuda.device_count()))))
        with open("/proc/self/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
    except Exception:
        return None


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(f"usage: {sys.argv[0]} SCRIPT [ARGUMENTS]")
    script = sys.argv[1]
    patches = begin()
    sys.argv = sys.argv[1:]
    if not getattr(sys.flags, "safe_path", False):  # with -P Python puts no folder first
        sys.path[0] = os.path.dirname(os.path.realpath(script))
    error: str | None = None
    pid = os.getpid()
    try:
        runpy.run_path(os.path.abspath(script), run_name="__main__")  # Python, too, makes __file__ absolute
    except SystemExit as stop:
        error = None if stop.code in (None, 0) else f"exit {stop.code}"
        raise
    except BaseException as failure:
        error = f"{type(failure).__name__}: {failure}"
        raise
    finally:
        if patches is not None and os.getpid() == pid:  # not in a child that the script forked
            patches.finish()
            patches.events.write(
                "end", ok=error is None, peak_memory=peak_memory(), **({"error": error} if error else {})
            )


if __name__ == "__main__":
    main()
