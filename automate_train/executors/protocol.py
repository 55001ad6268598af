"""What an executor is: where attempts run. One module under `executors/` holds one class that does this.

Covers: the contract; `tests/executors/test_contract.py` runs against every executor there is. The attempt's folder is
the only thing that an executor shares with the trainer's process: how an attempt ended is read there (`exit_code`),
so a shared disk is all that a cluster needs. Not: which attempt starts where (`training.placement`), what an exit code
means (`trainers`). No other room knows a process id, a job number or a process group: a handle is opaque text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ..records import Device, Launch
from ..store.layout import AttemptFolder


class Executor(Protocol):
    def capacity(self) -> list[Device] | None:
        """The devices as they are now; None: the engine behind this executor places runs itself."""

    def start(self, launch: Launch, attempt: AttemptFolder, devices: tuple[str, ...]) -> str:
        """Start an attempt whose folder is written, on these devices; its handle. `RunError`: it cannot be started."""

    def recover(self, left_behind: Sequence[tuple[AttemptFolder, str]]) -> Mapping[AttemptFolder, str]:
        """Of attempts that an earlier orchestrator started (each with its handle, "" where it was never written down),
        those that still run, with their handles; they are waited for from now on. What else of the sweep still lives
        is ended, and gone when this returns: no run ever has two live attempts."""

    def wait(self, seconds: float | None) -> list[str]:
        """Block until an attempt ends, somebody calls, or the time is over; the handles of those that have ended."""

    def stop(self, handle: str, now: bool) -> None:
        """End an attempt and everything it has started: politely, or (`now`) at once. Fine where it is gone."""

    def holders(self, handle: str, attempt: AttemptFolder, devices: tuple[str, ...]) -> list[str]:
        """Who of an attempt that has ended still holds something: `pid 1234`, `process group 77`. Empty: its devices
        are free."""
