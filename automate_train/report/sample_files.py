"""Sample pictures of an attempt's folder, as the page needs them.

Covers: a WebUI's pictures (a `.json` beside each, the mark that it is final) and the trainer's own (names and the
prompt file), failed ones with their reason, baselines of the sweep; which prompt a picture belongs to.
Not: thumbnails (`thumbs`), where a picture lies in the grid (`data`). Nothing is decoded.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..config.prompts import read as read_prompt_file
from ..errors import UserError
from ..hook.hook_pictures import OWN, is_whole
from .curves import is_number

STEPS = re.compile(r"-step\d{8,}$")
MOST_TEXT = 20_000
"""Characters of a prompt or an infotext: they are untrusted."""


@dataclass(frozen=True)
class Picture:
    """One sample; `file` and `about` are empty where there is none."""

    file: str
    """Relative to the sweep's folder, with `/`; "" when no PNG was made."""
    prompt: int
    words: str
    """The prompt without the tag of the LoRA: the same for all checkpoints."""
    epoch: int | None
    step: int | None
    by_step: bool
    """Its checkpoint was saved at a step, within an epoch."""
    weight: float | None
    state: str
    """done, base model only, wrong checkpoint, failed."""
    stamp: str = ""
    """Size and time of change of the file: what a thumbnail was made of."""
    about: dict[str, Any] = field(default_factory=dict)
    """What is shown on request: text, negative, seed, infotext, parameters, server, reason, lora, checkpoint."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def read(
    samples: Path, root: Path, prompts: Sequence[str], step_of: Callable[[int], int | None]
) -> tuple[list[Picture], bool]:
    """(pictures in the order of their names, whether all were whole). `prompts`: the texts of the trainer's own."""
    try:
        entries = {entry.name: entry for entry in os.scandir(samples)}
    except OSError:
        return [], True
    found, whole, stems = [], True, set()
    for name in sorted(entries):
        if name.endswith(".json") and not name.startswith("."):
            about = _json(samples / name)
            if about is not None:
                stems.add(name[:-5])
                found.append(_drawn(about, samples, root, entries))
    for name in sorted(entries):
        if name.endswith(".png") and name[:-4] not in stems and (match := OWN.search(name)):
            if not is_whole(entries[name].path):
                whole = False
                continue
            number, no = int(match["number"]), int(match["prompt"])
            epoch, step = (number, step_of(number)) if match["epoch"] else (None, number)
            text = prompts[no] if no < len(prompts) else ""
            seed = re.search(r"_(\d+)\.png$", name[match.end("prompt") + 15 :])
            about = {"text": text, "seed": int(seed[1]) if seed else None, "server": "the trainer"}
            file = _relative(samples / name, root)
            stamp = _stamp(entries[name].stat())
            found.append(Picture(file, no, text, epoch, step, not match["epoch"], None, "done", stamp, about))
    return found, whole


def _drawn(about: dict[str, Any], samples: Path, root: Path, entries: dict[str, os.DirEntry[str]]) -> Picture:
    png = about.get("png")
    entry = entries.get(png) if isinstance(png, str) else None
    state = str(about.get("state") or "failed")
    if state == "done" and entry is None:
        state, about = "failed", {**about, "reason": "the picture's file is gone"}
    stem = os.path.splitext(str(about.get("checkpoint") or ""))[0]
    shown = ("text", "negative", "seed", "infotext", "parameters", "server", "reason", "lora", "checkpoint", "at")
    kept = {name: _bounded(about[name]) for name in shown if about.get(name) not in (None, "")}
    weight = about.get("weight")
    return Picture(
        file=_relative(samples / entry.name, root) if entry else "",
        prompt=_whole(about.get("prompt")) or 0,
        words=without_lora(str(about.get("text") or ""), about.get("lora")),
        epoch=_whole(about.get("epoch")),
        step=_whole(about.get("step")),
        by_step=STEPS.search(stem) is not None,
        weight=float(weight) if weight is not None and is_number(weight) else None,
        state=state,
        stamp=_stamp(entry.stat()) if entry else "",
        about=kept,
    )


def baselines(root: Path) -> list[Picture]:
    """`<project>/baseline/`: each prompt's picture without a LoRA."""
    return [each for each in read(root / "baseline", root, (), lambda epoch: None)[0] if each.file]


def without_lora(text: str, lora: object) -> str:
    """The words that all checkpoints share: as `payloads.words` writes them without a LoRA."""
    if not isinstance(lora, str) or not lora:
        return text[:MOST_TEXT].strip()
    text = re.sub(rf"<(lora|lyco):{re.escape(lora)}((?::[^>]*)?)>", "", text[:MOST_TEXT])
    return text.replace(lora, "").strip()


def texts_of(prompt_path: object, cwd: str) -> list[str]:
    """The texts of a prompt file, as the trainer numbers them; [] when it cannot be read any more."""
    if not isinstance(prompt_path, str) or not prompt_path:
        return []
    try:
        return [prompt.text for prompt in read_prompt_file(os.path.join(cwd, os.path.expanduser(prompt_path)))]
    except (UserError, OSError, ValueError):
        return []


def _json(file: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and "state" in found else None


def _bounded(value: Any) -> Any:
    return value[:MOST_TEXT] if isinstance(value, str) else value


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _relative(file: Path, root: Path) -> str:
    return os.path.relpath(file, root).replace(os.sep, "/")


def _stamp(stat: os.stat_result) -> str:
    return f"{stat.st_size:x}-{stat.st_mtime_ns:x}"


def cells(pictures: Sequence[Picture]) -> Iterator[Picture]:
    """One picture a place: of several (a run sampled twice) the newest name, and a finished one before others."""
    best: dict[tuple[Any, ...], Picture] = {}
    for each in pictures:
        where = (each.prompt, each.words, each.epoch, each.step if each.by_step else None, each.weight)
        if where not in best or each.state == "done" or best[where].state != "done":
            best[where] = each
    yield from best.values()
