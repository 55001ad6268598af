"""What is to be sampled now: the sweep's checkpoints and prompt files -> batches.

Covers: checkpoints from the journal and from the attempts' own events (a killed orchestrator loses none), prompt files,
seeds, the link that keeps a checkpoint from rotation. Not: which are due (`due`), who draws them (`dispatch`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..config.keys import unset
from ..config.prompts import Prompt, read
from ..config.sampling_options import SampleRule, on_webui, sample_rule
from ..errors import UserError
from ..store.layout import AttemptFolder, SweepFolder
from ..store.sample_journal import Made, Samples
from .image_store import Batch, Desk, Wanted
from .schedule import Checkpoint, is_due, which
from .servers.webui.payload import parameters, shots

PENDING = ".pending"


@dataclass(frozen=True)
class Wish:
    """What a person asks for, above what the runs' options say."""

    prompt_path: str | None = None
    urls: tuple[str, ...] = ()
    only: Sequence[range] | None = None
    epochs: Sequence[range] | None = None

    def wants(self, made: Made) -> bool:
        named = self.only is None or any(made.index in each for each in self.only)
        return named and (bool(self.urls) or on_webui(made.options))


@dataclass(frozen=True)
class Prompts:
    prompts: tuple[Prompt, ...]
    digest: str


@dataclass
class Seen:
    """What the events of an attempt have told so far."""

    offset: int = 0
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)


class Lookout:
    """Looks again whenever it is told; every batch is returned once."""

    def __init__(
        self, folder: SweepFolder, samples: Samples, wish: Wish, desk: Desk, trouble: Callable[[str], None]
    ) -> None:
        self.folder, self.samples, self.wish, self.desk, self.trouble = folder, samples, wish, desk, trouble
        self.known: set[str] = set()
        self.ended: dict[Path, set[str]] = {}
        """Attempts that have ended and are sampled -> their batches' ids."""
        self._seen: dict[str, Seen] = {}
        self._files: dict[str, Prompts | None] = {}
        self._told: set[str] = set()

    def look(self) -> list[Batch]:
        """What is new, oldest first; baselines in front."""
        self._files.clear()
        found: list[Batch] = []
        sampled: set[str] = set()
        for made in self.samples.attempts():
            if made.key in sampled or not self.wish.wants(made):
                continue
            saved = self.checkpoints(made)
            if saved:
                sampled.add(made.key)  # of a run's attempts the newest that has saved anything
                found += self._batches(made, saved)
        return sorted(found, key=lambda batch: batch.checkpoint.at if batch.checkpoint else 0.0)

    def checkpoints(self, made: Made) -> list[Checkpoint]:
        attempt = AttemptFolder(self.folder.path / made.folder)
        seen = self._seen.setdefault(made.folder, Seen())
        for event in new_checkpoints(attempt.events, seen):
            seen.checkpoints[os.path.basename(event.path)] = event
        for path, epoch, step, at in self.samples.checkpoints(made.id):
            name = os.path.basename(path)
            seen.checkpoints.setdefault(name, Checkpoint(path, which(Path(path).stem), epoch, step, at))
        return sorted(seen.checkpoints.values(), key=lambda each: each.at)

    def _batches(self, made: Made, saved: list[Checkpoint]) -> Iterator[Batch]:
        attempt = AttemptFolder((self.folder.path / made.folder).absolute())
        wanted_rule = sample_rule(made.options) or (SampleRule(None) if self.wish.urls else None)
        ids = self.ended.setdefault(attempt.path, set()) if made.ended else set()
        if wanted_rule is None and self.wish.epochs is None:
            return
        prompts, suffix = self._prompts_of(made, attempt)
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
        self, made: Made, attempt: AttemptFolder, checkpoint: Checkpoint, prompts: Prompts, name: str, suffix: str
    ) -> Iterator[Batch]:
        stem = Path(checkpoint.path).stem
        wanted = tuple(
            Wanted(attempt.samples / f"{stem}_{shot.mark}{suffix}.png", prompt, shot, self._seed(shot.number, prompt))
            for shot in shots(prompts.prompts)
            if not shot.baseline
            for prompt in [prompts.prompts[shot.number]]
        )
        final = attempt.samples / f"{stem}.final" if not suffix else None
        left = tuple(each for each in wanted if self.desk.is_open(each))
        link = attempt.samples / PENDING / os.path.basename(checkpoint.path)
        batch = Batch(name, left, checkpoint, link, made.key, made.number, final)
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
                prompt = prompts.prompts[shot.number]
                seed = self._seed(shot.number, prompt)
                sent = json.dumps(parameters(prompt, None, None, seed), sort_keys=True)
                mark = f"{shot.number:02d}_{hashlib.sha256(sent.encode()).hexdigest()[:8]}"
                wanted.append(Wanted(self.folder.path.absolute() / "baseline" / f"{mark}.png", prompt, shot, seed))
        left = tuple(each for each in wanted if self.desk.is_open(each))
        if left:
            yield Batch(name, left)

    def _seed(self, number: int, prompt: Prompt) -> int:
        if prompt.seed is not None:
            return prompt.seed
        words = hashlib.sha256(f"{prompt.text}\0{prompt.negative}".encode()).hexdigest()[:16]
        return self.samples.seed(f"{number}:{words}")

    def _prompts_of(self, made: Made, attempt: AttemptFolder) -> tuple[Prompts | None, str]:
        """A run's prompts, and what its pictures' names end with: only for another file than the run's own."""
        own_path = made.options.get("prompt_path")
        own_path = None if unset(own_path) else os.path.join(_cwd(attempt), os.path.expanduser(str(own_path)))
        path = self.wish.prompt_path or own_path
        if path is None:
            self._say_once(f"{made.folder} has no prompt_path: no samples")
            return None, ""
        prompts = self._read(os.path.abspath(path))
        if prompts is None:
            return None, ""
        own = self._read(own_path) if own_path is not None and os.path.exists(own_path) else None
        first = self.samples.first_prompts(made.key, own.digest) if own is not None else ""
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


def new_checkpoints(file: Path, seen: Seen) -> Iterator[Checkpoint]:
    """The checkpoint events since the last look; `seen.offset` moves on. Read line by line: most lines are metrics, and
    there are many. A half-written last line is left for the next time."""
    try:
        if file.stat().st_size == seen.offset:
            return
        stream = file.open("rb")
    except OSError:
        return
    with stream:
        stream.seek(seen.offset)
        for line in stream:
            if not line.endswith(b"\n"):
                return
            seen.offset += len(line)
            if b'"checkpoint"' in line:
                try:
                    event: Mapping[str, Any] = json.loads(line)
                    if event["kind"] == "checkpoint":
                        path, kind, at = str(event["path"]), str(event["which"]), float(event["at"])
                        yield Checkpoint(path, kind, _int(event["epoch"]), _int(event["step"]), at)
                except (ValueError, LookupError, TypeError, RecursionError):
                    continue


def _int(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _cwd(attempt: AttemptFolder) -> str:
    """Where the sweep was started: relative paths in its options begin there."""
    try:
        return str(json.loads((attempt.path / AttemptFolder.LAUNCH).read_text(encoding="utf-8"))["cwd"])
    except (OSError, ValueError, KeyError, TypeError):
        return os.getcwd()


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
