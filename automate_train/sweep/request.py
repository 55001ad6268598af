"""What a person asks for with the sweep's command.

Covers: the flags as data, the same whoever read them. Not: reading them (`cli.run`), obeying them (`pipeline`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class SweepRequest(NamedTuple):
    """What a person asks for with the sweep's command."""

    config_files: Mapping[str, str] = {}
    """`default file`, `tuning file` -> its path."""
    sets: tuple[str, ...] = ()
    """The texts of --set: `key=value`."""
    overrides: Mapping[str, Any] = {}
    """Key -> value of the flags that set one key."""
    cuda_devices: str | None = None
    """Devices that the runs share. None: each run names its own."""
    memory_limit: int | None = None
    """Bytes that must be free on a device. None: nobody has said so."""
    cpu_slots: int | None = None
    """Runs at a time on the CPU. None: on GPUs, where there are any."""
    only: tuple[range | str, ...] | None = None
    """Ranges of indexes, and ids. None: all."""
    skip_to_index: int | None = None
    train_id_start: int = 0
    rerun: bool = False
    dry_run: bool = False
    json: bool = False
    verbose: bool = False
    check_cluster: bool = False
    """Only have a job look at a node."""
    plain: bool = False
    samples_must: bool = False
    """A sample that is missing in the end makes the exit code 1, like a run that failed."""
    command: tuple[str, ...] = ()
    """The command line."""
    in_background: tuple[str, ...] | None = None
    """The arguments of the same sweep in the background, secrets and all. None: it stays in the foreground."""
