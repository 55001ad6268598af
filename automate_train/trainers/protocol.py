"""What a trainer is: a module or package of this folder, found by its name, that holds these functions.

Covers: the contract. `command.py` is the smallest trainer, the one to copy; a contract test
(`tests/trainers/test_trainer_contract.py`) runs against every trainer there is. Which keys of the configs a trainer
accepts depends on the run (its script, its command), so it is no list: `problems` names each key that nothing reads.
Not: any particular trainer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..errors import Problem
from ..records import Event, Launch, Outcome, PictureFolder, Run, SweepContext
from ..store.layout import AttemptFolder


class Trainer(Protocol):
    """Functions of a module. They start no run and write nothing: only an executor writes an attempt's folder."""

    def problems(self, run: Run, context: SweepContext) -> list[Problem]:
        """Everything that is wrong with a run's options, as far as it can be known before the run starts. The keys of
        automate-train itself (`config.key_table`) are checked elsewhere."""

    def needs_gpu(self, run: Run) -> bool:
        """Whether this run is to train on the CPU only if that was asked for (`--cpu`)."""

    def prepare(self, run: Run, attempt: AttemptFolder, context: SweepContext) -> Launch:
        """The command, environment and files that start this run in this folder; the same for the same arguments.
        `UserError` only with an error that `problems` finds too."""

    def training_pictures(self, run: Run, context: SweepContext) -> Sequence[PictureFolder]:
        """Every folder of pictures that the run trains on, held-out ones included. `UserError` where that is not
        known, or where the trainer cannot keep pictures from a run; what `prepare` returns leaves
        `context.held_out` out."""

    def events(self, attempt: AttemptFolder, cursor: int) -> tuple[Sequence[Event], int]:
        """What an attempt has written since `cursor` (0: from the beginning), and the cursor to go on from. Each event
        comes once; what is not an event is skipped."""

    def verdict(self, attempt: AttemptFolder, exit_code: int) -> Outcome:
        """Whether an attempt that has ended did what it should, from its folder alone."""

    def disk_bytes(self, run: Run, context: SweepContext) -> tuple[int, int]:
        """(bytes under temp_dir, bytes under target_path) that a run will take, estimated; 0 where it is not known."""


class MeasuringTrainer(Protocol):
    """What a trainer holds whose checkpoints can be measured on held-out pictures."""

    def measure(self, attempt: AttemptFolder, reference: AttemptFolder) -> Launch:
        """The program that measures the checkpoints of an attempt: `trainers/measure_program` with its measure.json in
        `files`, whose `defines` says by what the numbers are defined: launches with the same `defines` are one
        measure. What else the program is told is taken from `reference`, the same for all attempts of a sweep.
        `UserError`: these checkpoints cannot be measured."""
