"""What a trainer is: a module or package under `trainers/`, found by its name, that holds these functions.

Covers: the contract. `command.py` is the smallest trainer, the one to copy; `tests/trainers/test_contract.py` runs
against every trainer there is. Not: any particular trainer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..errors import Problem
from ..records import Event, Launch, Outcome, Run, SweepContext
from ..store.layout import AttemptFolder


class Trainer(Protocol):
    """Functions of a module. None of them starts a process, and only an executor writes into an attempt's folder."""

    @staticmethod
    def problems(run: Run, context: SweepContext) -> list[Problem]:
        """Everything that is wrong with a run as far as the trainer can know; nothing is written."""

    @staticmethod
    def prepare(run: Run, attempt: AttemptFolder, context: SweepContext) -> Launch:
        """What starts this run in this folder. `UserError` when it has an error that `problems` tells of."""

    @staticmethod
    def events(attempt: AttemptFolder, cursor: int) -> tuple[Sequence[Event], int]:
        """What a running attempt has told since `cursor` (0: from the beginning), and the cursor to go on from."""

    @staticmethod
    def verdict(attempt: AttemptFolder, exit_code: int) -> Outcome:
        """Whether an attempt that has ended did what it should, from its folder alone."""

    @staticmethod
    def disk_bytes(run: Run) -> tuple[int, int]:
        """(bytes under temp_dir, bytes under target_path) that a run will take, estimated; 0 when unknown."""
