"""A sweep's folder with runs made by hand, for what shows them.

sweep = Sweep(tmp_path)
sweep.run(0, '{"at": 1, "kind": "metrics", "step": 3}', kind="failed", reason="why", seconds=1.5)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from automate_train.records import Attempt, Launch, Outcome, OutcomeKind, Resume, RunRecord
from automate_train.store.journal import Journal
from automate_train.store.launch import write_attempt
from automate_train.store.layout import SweepFolder


class Sweep:
    def __init__(self, home: Path) -> None:
        self.folder = SweepFolder(home, "p")
        self.folder.path.mkdir()
        self.journal = Journal(self.folder.journal)

    @staticmethod
    def record(index: int, **options: Any) -> RunRecord:
        varied = {"lr": f"{index}e-4"}
        return RunRecord(
            f"k{index}", index, index, f"p_lr={index}e-4", f"p_lr-{index}e-4", varied, {"trainer": "command", **options}
        )

    def run(
        self, index: int, *events: str, kind: OutcomeKind | None = None, reason: str = "", resume: Resume | None = None,
        options: dict[str, Any] | None = None, **metrics: Any,
    ) -> Attempt:  # fmt: skip
        """One more attempt of a run; without `kind` it still runs."""
        record = self.record(index, **(options or {}))
        begun = self.journal.begin(record, (), 1.0)
        folder = self.folder.attempt(begun.folder)
        write_attempt(folder, Launch(("x",), "/", resume=resume), record, (), 1.0)
        folder.events.write_text("".join(f"{event}\n" for event in events))
        if kind is not None:
            self.journal.end(begun, Outcome(kind, 0 if kind == "succeeded" else 1, reason), 9.0, metrics)
        return begun
