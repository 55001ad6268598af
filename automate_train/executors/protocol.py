"""What an executor is: where attempts run. One module under `executors/` holds one class that does this.

Covers: the contract; `tests/executors/test_executor_contract.py` runs against every executor there is. The attempt's
folder is the only thing that an executor shares with the trainer's process: how an attempt ended is read there
(`exit_code`), so a shared disk is all that a cluster needs. A handle is opaque text: a process id and what makes it
unique, a job number. Not: which attempt starts where (`training.placement`), what an exit code means (`trainers`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from ..records import Device, Launch
from ..store.layout import AttemptFolder


class Found(NamedTuple):
    """What became of an attempt. Neither: it has ended."""

    handle: str = ""
    """It still runs."""
    elsewhere: str = ""
    """It still runs, on this machine, which cannot be reached from here."""


class Recovered(NamedTuple):
    attempts: list[Found]
    left: list[str]
    """Real paths of the folders of attempts that have ended and of which something lives on that could not be ended."""


class Executor(Protocol):
    def capacity(self) -> list[Device] | None:
        """The devices as they are now; None: the engine behind this executor places runs itself."""

    def reserve(self, devices: Sequence[str], attempt: AttemptFolder) -> bool:
        """Keep the sweeps of everybody else off these devices until `release`, and as long as the attempt lives; False
        when one of them is taken: `capacity` tells by whom."""

    def release(self, devices: Sequence[str]) -> None:
        """Give devices back that were reserved, or do nothing."""

    def start(self, launch: Launch, attempt: AttemptFolder, devices: Sequence[str]) -> str:
        """Start an attempt whose folder is written, on these devices; its handle. `RunError`: it cannot be started."""

    def recover(self, sweep: Path, left_behind: Sequence[tuple[AttemptFolder, str]]) -> Recovered:
        """What became of each attempt that an earlier orchestrator started, by its folder and what `start` returned (""
        where that was never written down); `wait` tells of those that still run. Whatever else of the sweep still
        lives is ended, and gone when this returns, also when its folder was deleted: no run ever has two live
        attempts."""

    def living(self, sweep: Path, left_behind: Sequence[tuple[AttemptFolder, str]] = ()) -> dict[str, str]:
        """Every attempt of the sweep of which something lives, whether or not anybody can tell how it ends: the real
        path of its folder -> the handle for `stop` and `holders`. `left_behind`, as in `recover`: attempts of which
        nothing but their handle may tell."""

    def wait(self, seconds: float | None, wake_on: Sequence[int] = ()) -> dict[str, int | None]:
        """Block until an attempt ends, one of the descriptors `wake_on` is readable, or the time is over; the handles
        of the attempts that have ended, each with its exit code where it is known without the attempt's folder."""

    def waiting(self) -> Mapping[str, str] | None:
        """Started attempts that the engine behind this executor has not begun, or has put back: handle -> why, in the
        engine's words; `wait` returns when it changes. None: there is no queue, an attempt begins when it is started.
        """

    def withdraw(self, handle: str) -> None:
        """Take an attempt out of the queue, if it has not begun; `wait` tells of its end."""

    def went_on(self, handle: str) -> tuple[AttemptFolder, str] | None:
        """Of an attempt that `wait` has told of: the next attempt of its run, with its handle, where the engine itself
        has begun one (`training.next_attempt`); its end is awaited like that of any other."""

    def stop(self, handle: str, now: bool) -> None:
        """End an attempt and everything that it has started: politely, or (`now`) by force. Also for an attempt that
        has ended and has left something; where nothing is left, nothing happens."""

    def holders(self, handle: str, attempt: AttemptFolder, devices: Sequence[str]) -> list[str]:
        """What of an attempt that has ended is left and holds its devices, for people: `pid 1234`. Empty: they are
        free."""

    def describe(self, handle: str) -> str:
        """A handle as people know it: `pid 1234`."""
