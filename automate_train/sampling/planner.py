"""What is to be sampled now: the sweep's checkpoints and prompt files -> batches.

Covers: checkpoints of all attempts of each run, prompt files, seeds, the link that keeps a checkpoint when the trainer
deletes it. Not: which checkpoints are due (`schedule`), who draws them (`dispatch`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..config.prompts import Prompt, read_prompts
from ..config.sampling_options import SampleRule, on_webui, sample_rule
from ..config.values import unset
from ..errors import UserError
from ..records import Attempt, Checkpoint, RunRecord
from ..store.history import Histories
from ..store.layout import AttemptFolder, SweepFolder
from ..store.sample_journal import SampleJournal
from ..store.sweep_file import typed_in
from ..sweep.choice import is_named
from ..trainers import events_of
from .batch import Batch, PlannedSample, Variant, prompt_key, variants
from .image_store import ImageStore
from .schedule import is_due
from .servers.protocol import SampleRequest
from .servers.webui.payload import parameters


@dataclass(frozen=True)
class SampleSelection:
    """What a person asks for, above what the runs' options say."""

    prompt_path: str | None = None
    urls: tuple[str, ...] = ()
    runs: Sequence[range | str] | None = None
    """Ranges of indexes, and ids."""
    epochs: Sequence[range] | None = None

    def wants(self, run: RunRecord) -> bool:
        named = self.runs is None or is_named(run, self.runs)
        return named and (bool(self.urls) or on_webui(run.options))


@dataclass(frozen=True)
class PromptFile:
    prompts: tuple[Prompt, ...]
    digest: str


@dataclass(frozen=True)
class Plan:
    batches: tuple[Batch, ...]
    """What is new, the oldest checkpoint first, baselines before all."""
    problems: tuple[str, ...]
    """Why something cannot be sampled; each is told once."""


class Planner:
    """Plans anew whenever it is called; every batch is returned once."""

    def __init__(
        self, folder: SweepFolder, sample_journal: SampleJournal, selection: SampleSelection, store: ImageStore
    ) -> None:
        self.folder, self.sample_journal, self.selection, self.store = folder, sample_journal, selection, store
        self.ended: dict[Path, set[str]] = {}
        """Attempts that have ended and are sampled -> their batches' ids."""
        self._planned: set[str] = set()
        self._histories = Histories(folder, sample_journal.journal, events_of)
        self._prompt_files: dict[str, PromptFile | None] = {}
        self._problems: dict[str, None] = {}

    def plan(self) -> Plan:
        self._prompt_files.clear()
        known_problems = len(self._problems)
        found: list[Batch] = []
        for run in self.sample_journal.journal.records():
            if self.selection.wants(run):
                found += self._of_run(run)
        found.sort(key=lambda batch: batch.checkpoint.at if batch.checkpoint else 0.0)
        return Plan(tuple(found), tuple(self._problems)[known_problems:])

    def _of_run(self, run: RunRecord) -> Iterator[Batch]:
        """Of a resumed run the checkpoints of all its attempts."""
        saved = self._histories.brief(run).checkpoints
        for attempt in run.attempts:
            if own := [each for each in saved if each.attempt == attempt.number]:
                yield from self._of_attempt(run, attempt, own)

    def _of_attempt(self, run: RunRecord, attempt: Attempt, saved: Sequence[Checkpoint]) -> Iterator[Batch]:
        folder = AttemptFolder((self.folder.path / attempt.folder).absolute())
        rule = sample_rule(run.options) or (SampleRule(None) if self.selection.urls else None)
        ids = self.ended.setdefault(folder.path, set()) if attempt.outcome else set()
        if rule is None and self.selection.epochs is None:
            return
        prompts, suffix = self._prompts_of(run, folder)
        if prompts is None:
            return
        due = [each for each in saved if is_due(each, rule or SampleRule(None), self.selection.epochs)]
        for checkpoint in due:
            id_ = f"{attempt.folder}/{os.path.basename(checkpoint.path)}{suffix}"
            ids.add(id_)
            if id_ not in self._planned:
                self._planned.add(id_)
                yield from self._batch(attempt, folder, checkpoint, prompts, id_, suffix)
        if due:
            yield from self._baselines(prompts)

    def _batch(
        self,
        attempt: Attempt,
        folder: AttemptFolder,
        checkpoint: Checkpoint,
        prompts: PromptFile,
        id_: str,
        suffix: str,
    ) -> Iterator[Batch]:
        stem = Path(checkpoint.path).stem
        samples = [
            self._sample(folder.samples / f"{stem}_{variant.mark}{suffix}.png", variant, prompts)
            for variant in variants(prompts.prompts)
            if not variant.baseline
        ]
        final = folder.final(stem) if not suffix else None
        missing = self.store.to_make(samples)
        link = folder.pending / os.path.basename(checkpoint.path)
        batch = Batch(id_, missing, checkpoint, link, attempt.run_key, attempt.number, final)
        if not missing:
            self.store.close(batch)
        elif keep(checkpoint.path, link):
            self.store.begin(missing)
            yield batch
        else:
            self._problem(f"{checkpoint.path} is gone: its {len(missing)} missing samples cannot be made")
            self.store.let_training_go_on(batch, "the checkpoint is gone\n")

    def _baselines(self, prompts: PromptFile) -> Iterator[Batch]:
        id_ = f"baseline {prompts.digest}"
        if id_ in self._planned:
            return
        self._planned.add(id_)
        samples = []
        for variant in variants(prompts.prompts):
            if variant.baseline:
                samples.append(self._sample(self._baseline(variant.number, prompts), variant, prompts))
        if missing := self.store.to_make(samples):
            self.store.begin(missing)
            yield Batch(id_, missing)

    def _baseline(self, number: int, prompts: PromptFile) -> Path:
        """Its name comes from what a WebUI is sent, as in the first edition: the baselines of its sweeps are found."""
        prompt = prompts.prompts[number]
        sent = parameters(SampleRequest(prompt, self._seed(number, prompt)))
        digest = hashlib.sha256(json.dumps(sent, sort_keys=True).encode()).hexdigest()[:8]
        return self.folder.baselines.absolute() / f"{number:02d}_{digest}.png"

    def _sample(self, png: Path, variant: Variant, prompts: PromptFile) -> PlannedSample:
        number, prompt = variant.number, prompts.prompts[variant.number]
        baseline = self._baseline(number, prompts) if prompt.baseline and not variant.baseline else None
        return PlannedSample(png, prompt, variant, self._seed(number, prompt), prompts.digest, baseline)

    def _seed(self, number: int, prompt: Prompt) -> int:
        return self.sample_journal.seed(prompt_key(number, prompt)) if prompt.seed is None else prompt.seed

    def _prompts_of(self, run: RunRecord, folder: AttemptFolder) -> tuple[PromptFile | None, str]:
        """A run's prompts, and what its pictures' names end with: only for another file than the run's own."""
        own_path = run.options.get("prompt_path")
        own_path = (
            None if unset(own_path) else os.path.join(typed_in(self.folder, folder), os.path.expanduser(str(own_path)))
        )
        path = self.selection.prompt_path or own_path
        if path is None:
            self._problem(f"{run.folder} has no prompt_path: no samples")
            return None, ""
        prompts = self._read(os.path.abspath(path))
        if prompts is None:
            return None, ""
        own = self._read(own_path) if own_path is not None and os.path.exists(own_path) else None
        first = self.sample_journal.first_prompts(run.key, own.digest) if own is not None else ""
        return prompts, "" if prompts.digest == first else f"_p{prompts.digest[:4]}"

    def _read(self, path: str) -> PromptFile | None:
        if path not in self._prompt_files:
            self._prompt_files[path] = None
            try:
                prompts = read_prompts(path)
                digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
                self._prompt_files[path] = PromptFile(tuple(prompts), digest)
            except (UserError, OSError) as error:
                self._problem(str(error))
        return self._prompt_files[path]

    def _problem(self, text: str) -> None:
        self._problems.setdefault(text)


def keep(path: str, link: Path) -> bool:
    """A name of our own for the checkpoint, before `save_last_n_epochs` takes the first one away."""
    if link.exists():
        return True
    if not os.path.isfile(path):
        return False
    link.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, link)
    except OSError:
        half = link.with_name(f".{link.name}.half")
        try:
            shutil.copyfile(path, half)
            half.replace(link)
        except OSError:
            return False
    return True
