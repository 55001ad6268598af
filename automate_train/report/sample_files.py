"""Sample pictures in a folder, as the page needs them.

Covers: pictures of an image server (a `.json` beside each, written last), the trainer's own (their names and the
prompt file), those that a program reports; failed ones with the reason, the sweep's baselines; which prompt a picture
shows.
Not: thumbnails (`thumbs`), a picture's position in the grid (`axes`). No picture is decoded.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..config.prompts import read_prompts
from ..errors import UserError
from ..hook.hook_find_images import OWN, is_whole
from ..records import Event
from ..sampling.servers.webui.payload import without_lora
from ..store.files import finite, is_count, is_number, read_json
from ..store.layout import AttemptFolder, SweepFolder

STEP_CHECKPOINT = re.compile(r"-step\d{8,}$")
KINDS = (".png", ".jpg", ".jpeg", ".webp")
"""Files of pictures that a program may report."""
MOST_TEXT = 20_000
"""Characters of a prompt or an infotext that are kept: the files are untrusted."""
DETAILS = ("text", "negative", "seed", "infotext", "parameters", "server", "reason", "lora", "checkpoint", "at")


class SamplePicture(NamedTuple):
    file: str
    """Relative to the sweep's folder, with `/`; "" when there is no PNG."""
    prompt: int
    """Its number in the prompt file."""
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
    """The PNG's size and time of change: a thumbnail is of one stamp."""
    details: Mapping[str, object] = {}
    """What the page shows on request: the fields in `DETAILS` that are known."""


def read_folder(
    folder: Path, root: Path, prompts: Sequence[str], epoch_ends: Mapping[int, int], uncounted_steps: int
) -> tuple[list[SamplePicture], bool]:
    """(pictures in the order of their file names, whether all of the trainer's own were completely written). The rest
    is about the trainer's own: the prompts' texts, epoch -> its last step, the steps that its names leave out."""
    try:
        entries = {entry.name: entry for entry in os.scandir(folder) if _is_utf8(entry.name)}
    except OSError:
        return [], True
    pictures, complete, described = [], True, set()
    for name in sorted(entries):
        if name.endswith(".json") and not name.startswith("."):
            fields = read_json(folder / name)
            if fields and "state" in fields:
                described.add(name[:-5])
                pictures.append(_from_server(fields, folder, root, entries))
    for name in sorted(entries):
        if name.endswith(".png") and name[:-4] not in described and (match := OWN.search(name)):
            if is_whole(entries[name].path):
                pictures.append(_from_trainer(entries[name], match, root, prompts, epoch_ends, uncounted_steps))
            else:
                complete = False
    return pictures, complete


def _from_server(
    fields: Mapping[str, object], folder: Path, root: Path, entries: Mapping[str, os.DirEntry[str]]
) -> SamplePicture:
    """A picture with its `.json`: `fields`."""
    png = fields.get("png")
    entry = entries.get(png) if isinstance(png, str) else None
    state = str(fields.get("state") or "failed")
    if state == "done" and entry is None:
        state, fields = "failed", {**fields, "reason": "the picture's file is gone"}
    stem = os.path.splitext(str(fields.get("checkpoint") or ""))[0]
    return SamplePicture(
        file=_relative(folder / entry.name, root) if entry else "",
        prompt=_count(fields.get("prompt")) or 0,
        words=_words(fields),
        epoch=_count(fields.get("epoch")),
        step=_count(fields.get("step")),
        by_step=STEP_CHECKPOINT.search(stem) is not None,
        weight=float(weight) if is_number(weight := fields.get("weight")) else None,
        state=state,
        stamp=_stamp(entry.stat()) if entry else "",
        details={name: _bounded(fields[name]) for name in DETAILS if fields.get(name) not in (None, "")},
    )


def _words(fields: Mapping[str, object]) -> str:
    """The prompt without the LoRA, by which pictures of different checkpoints are compared."""
    words = fields.get("words")
    if isinstance(words, str):
        return words[:MOST_TEXT]
    return without_lora(str(fields.get("text") or "")[:MOST_TEXT], fields.get("lora"))  # of the first edition


def _from_trainer(
    entry: os.DirEntry[str], match: re.Match[str], root: Path, prompts: Sequence[str], epoch_ends: Mapping[int, int],
    uncounted_steps: int,
) -> SamplePicture:  # fmt: skip
    """A picture of which only the name tells anything; `match` of `OWN`."""
    number, prompt = int(match["number"]), int(match["prompt"])
    epoch, step = (number, epoch_ends.get(number)) if match["epoch"] else (None, number + uncounted_steps)
    text = prompts[prompt] if prompt < len(prompts) else ""
    seed = re.search(r"_(\d+)\.png$", entry.name[match.end("prompt") + 15 :])
    return SamplePicture(
        file=_relative(Path(entry.path), root),
        prompt=prompt,
        words=text,
        epoch=epoch,
        step=step,
        by_step=not match["epoch"],
        weight=None,
        state="done",
        stamp=_stamp(entry.stat()),
        details={"text": text, "seed": int(seed[1]) if seed else None, "server": "the trainer"},
    )


def reported(events: Iterable[Event], attempt: AttemptFolder, root: Path) -> Iterator[SamplePicture]:
    """Pictures that a program says it has drawn, as far as they are files in its attempt's folder. What the hook has
    logged to trackers is not among them: those are files of the samples' folder."""
    home, numbers = attempt.path.resolve(), dict[str, int]()
    for event in events:
        data = event.data
        try:
            file = Path(attempt.now(data.get("path") or "")).resolve()
            if "trackers" in data or file.suffix.lower() not in KINDS or not file.is_relative_to(home):
                continue
            stamp = _stamp(file.stat())
        except (OSError, ValueError):  # gone; a text that is no path
            continue
        words, epoch, step = str(data.get("prompt") or "")[:MOST_TEXT], data.get("epoch"), data.get("step")
        yield SamplePicture(
            file=_relative(file, root.resolve()),
            prompt=numbers.setdefault(words, len(numbers)),
            words=words,
            epoch=epoch,
            step=step,
            by_step=epoch is None,
            weight=None,
            state="done",
            stamp=stamp,
            details={"text": words, "server": "the trainer"},
        )


def read_baselines(sweep: SweepFolder) -> list[SamplePicture]:
    """Each prompt's picture without a LoRA."""
    return [each for each in read_folder(sweep.baselines, sweep.path, (), {}, 0)[0] if each.file]


def prompt_texts(prompt_path: object, cwd: str) -> list[str]:
    """The texts of a prompt file, as the trainer numbers them; [] when it cannot be read any more."""
    if not isinstance(prompt_path, str) or not prompt_path:
        return []
    try:
        return [prompt.text for prompt in read_prompts(os.path.join(cwd, os.path.expanduser(prompt_path)))]
    except (UserError, OSError, ValueError):
        return []


def newest_by_cell(pictures: Iterable[SamplePicture]) -> list[SamplePicture]:
    """One picture for each cell of the grid. Of several (a run that was sampled twice) a finished one before others,
    then the last one."""
    best: dict[tuple[object, ...], SamplePicture] = {}
    for each in pictures:
        cell = (each.prompt, each.words, each.epoch, each.step if each.by_step else None, each.weight)
        if cell not in best or each.state == "done" or best[cell].state != "done":
            best[cell] = each
    return list(best.values())


def _is_utf8(name: str) -> bool:
    """Whether a page can hold the name of a file."""
    return name.isascii() or os.fsencode(name) == name.encode(errors="replace")


def _bounded(value: object) -> object:
    return value[:MOST_TEXT] if isinstance(value, str) else finite(value)


def _count(value: object) -> int | None:
    return value if is_count(value) else None


def _relative(file: Path, root: Path) -> str:
    return os.path.relpath(file, root).replace(os.sep, "/")


def _stamp(stat: os.stat_result) -> str:
    return f"{stat.st_size:x}-{stat.st_mtime_ns:x}"
