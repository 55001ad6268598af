"""What is to be sampled now: the sweep's checkpoints and prompt files -> batches.

Covers: checkpoints of all attempts of each run, prompt files, seeds, the link that keeps a checkpoint from rotation.
Not: which are due (`schedule`), who draws them (`dispatch`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..config.keys import unset
from ..config.prompts import Prompt, read
from ..config.sampling_options import SampleRule, on_webui, sample_rule
from ..errors import UserError
from ..records import Attempt, Checkpoint, RunRecord
from ..store.history import Histories
from ..store.launch import read_launch
from ..store.layout import AttemptFolder, SweepFolder
from ..store.sample_journal import SampleJournal
from ..trainers import events_of
from .image_store import Batch, Desk, Wanted
from .schedule import is_due
from .servers.webui.payload import Shot, parameters, shots


@dataclass(frozen=True)
class Wish:
    """What a person asks for, above what the runs' options say."""

    prompt_path: str | None = None
    urls: tuple[str, ...] = ()
    only: Sequence[range] | None = None
    epochs: Sequence[range] | None = None

    def wants(self, run: RunRecord) -> bool:
        named = self.only is None or any(run.index in each for each in self.only)
        return named and (bool(self.urls) or on_webui(run.options))


@dataclass(frozen=True)
class Prompts:
    prompts: tuple[Prompt, ...]
    digest: str


class Lookout:
    """Looks again whenever it is told; every batch is returned once."""

    def __init__(
        self, folder: SweepFolder, samples: SampleJournal, wish: Wish, desk: Desk, trouble: Callable[[str], None]
    ) -> None:
        self.folder, self.samples, self.wish, self.desk, self.trouble = folder, samples, wish, desk, trouble
        self.known: set[str] = set()
        self.ended: dict[Path, set[str]] = {}
        """Attempts that have ended and are sampled -> their batches' ids."""
        self._histories = Histories(folder, samples.journal, events_of)
        self._files: dict[str, Prompts | None] = {}
        self._told: set[str] = set()

    def look(self) -> list[Batch]:
        """What is new, oldest first; baselines in front."""
        self._files.clear()
        found: list[Batch] = []
        for run in self.samples.journal.records():
            if self.wish.wants(run):
                found += self._of_run(run)
        return sorted(found, key=lambda batch: batch.checkpoint.at if batch.checkpoint else 0.0)

    def _of_run(self, run: RunRecord) -> Iterator[Batch]:
        """Of a resumed run the checkpoints of all its attempts."""
        saved = self._histories.brief(run).checkpoints
        for attempt in run.attempts:
            if own := [each for each in saved if each.attempt == attempt.number]:
                yield from self._batches(run, attempt, own)

    def _batches(self, run: RunRecord, made: Attempt, saved: list[Checkpoint]) -> Iterator[Batch]:
        attempt = AttemptFolder((self.folder.path / made.folder).absolute())
        wanted_rule = sample_rule(run.options) or (SampleRule(None) if self.wish.urls else None)
        ids = self.ended.setdefault(attempt.path, set()) if made.outcome else set()
        if wanted_rule is None and self.wish.epochs is None:
            return
        prompts, suffix = self._prompts_of(run, attempt)
        if prompts is None:
            return
        due = [each for each in saved if is_due(each, wanted_rule or SampleRule(None), self.wish.epochs)]
        for checkpoint in due:
            name = f"{made.folder}/{os.path.basename(checkpoint.path)}{suffix}"
            ids.add(name)
            if name not in self.known:
                self.known.add(name)
                yield from self._batch(made, attempt, checkpoint, prompts, name, suffix)
        if due:
            yield from self._baselines(prompts)

    def _batch(
        self, made: Attempt, attempt: AttemptFolder, checkpoint: Checkpoint, prompts: Prompts, name: str, suffix: str
    ) -> Iterator[Batch]:
        stem = Path(checkpoint.path).stem
        wanted = tuple(
            self._wanted(attempt.samples / f"{stem}_{shot.mark}{suffix}.png", prompts, shot)
            for shot in shots(prompts.prompts)
            if not shot.baseline
        )
        final = attempt.final(stem) if not suffix else None
        left = tuple(each for each in wanted if self.desk.is_open(each))
        link = attempt.pending / os.path.basename(checkpoint.path)
        batch = Batch(name, left, checkpoint, link, made.run_key, made.number, final)
        if not left:
            batch.close()
        elif keep(attempt, checkpoint.path, link):
            yield batch
        else:
            self._say_once(f"{checkpoint.path} is gone: its {len(left)} missing samples cannot be made")
            batch.go_on("the checkpoint is gone\n")

    def _baselines(self, prompts: Prompts) -> Iterator[Batch]:
        name = f"baseline {prompts.digest}"
        if name in self.known:
            return
        self.known.add(name)
        wanted = []
        for shot in shots(prompts.prompts):
            if shot.baseline:
                one = self._wanted(self.folder.baselines.absolute() / "x.png", prompts, shot)
                sent = json.dumps(parameters(one.prompt, None, None, one.seed), sort_keys=True)
                mark = f"{shot.number:02d}_{hashlib.sha256(sent.encode()).hexdigest()[:8]}"
                wanted.append(replace(one, png=one.png.with_name(f"{mark}.png")))
        left = tuple(each for each in wanted if self.desk.is_open(each))
        if left:
            yield Batch(name, left)

    def _wanted(self, png: Path, prompts: Prompts, shot: Shot) -> Wanted:
        """With its seed: the prompt's own, else one that is drawn once for the sweep."""
        prompt = prompts.prompts[shot.number]
        if prompt.seed is not None:
            return Wanted(png, prompt, shot, prompt.seed, "", prompts.digest)
        words = hashlib.sha256(f"{prompt.text}\0{prompt.negative}".encode()).hexdigest()[:16]
        key = f"{shot.number}:{words}"
        return Wanted(png, prompt, shot, self.samples.seed(key), key, prompts.digest)

    def _prompts_of(self, run: RunRecord, attempt: AttemptFolder) -> tuple[Prompts | None, str]:
        """A run's prompts, and what its pictures' names end with: only for another file than the run's own."""
        own_path = run.options.get("prompt_path")
        own_path = None if unset(own_path) else os.path.join(_cwd(attempt), os.path.expanduser(str(own_path)))
        path = self.wish.prompt_path or own_path
        if path is None:
            self._say_once(f"{run.folder} has no prompt_path: no samples")
            return None, ""
        prompts = self._read(os.path.abspath(path))
        if prompts is None:
            return None, ""
        own = self._read(own_path) if own_path is not None and os.path.exists(own_path) else None
        first = self.samples.first_prompts(run.key, own.digest) if own is not None else ""
        return prompts, "" if prompts.digest == first else f"_p{prompts.digest[:4]}"

    def _read(self, path: str) -> Prompts | None:
        if path not in self._files:
            self._files[path] = None
            try:
                prompts = read(path)
                digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
                self._files[path] = Prompts(tuple(prompts), digest)
            except (UserError, OSError) as error:
                self._say_once(str(error))
        return self._files[path]

    def _say_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self.trouble(text)


def _cwd(attempt: AttemptFolder) -> str:
    """Where the sweep was started: relative paths in its options begin there."""
    return read_launch(attempt).cwd or os.getcwd()


def keep(attempt: AttemptFolder, path: str, link: Path) -> bool:
    """A name of our own for the checkpoint, before `save_last_n_epochs` takes the first one away."""
    if link.exists():
        return True
    file = Path(path) if os.path.exists(path) else attempt.output / os.path.basename(path)  # the sweep was moved
    if not file.is_file():
        return False
    link.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, link)
    except OSError:
        half = link.with_name(f".{link.name}.half")
        try:
            shutil.copyfile(file, half)
            half.replace(link)
        except OSError:
            return False
    return True
