"""The plan as people and programs read it; what `--dry-run` prints.

Covers: rendering (axes, options with their sources, runs, dropped points, problems). Not: making the plan (`sweep`),
finding problems (`preflight`), printing (`cli`). Secrets are masked here, the one place where options are shown.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..config.keys import MASKED
from ..config.layers import text_of
from ..errors import Problem
from ..records import Dropped, Launch, Run, Setting
from ..store.layout import AttemptFolder
from ..sweep.product import Sweep

PREVIEW = 12
LOOKED_AT = 20_000
"""Points in which runs and dropped points to show are looked for."""


def shown(key: str, value: Any) -> Any:
    """A value as it may be seen: `***` for secrets that are set."""
    return "***" if key in MASKED and value not in (None, "") else value


def head(sweep: Sweep, left: int | None, done: int) -> Iterator[str]:
    """The sweep in a few lines: size and axes."""
    sizes = " x ".join(f"{len(texts)} {key}" for axis in sweep.axes for key, texts in _first(axis.texts.items()))
    count = f"{sweep.size} run{'s' if sweep.size != 1 else ''}"
    rest = f", {done} already done" if done else ""
    rest += f", {left} to do" if left is not None and left != sweep.size else ""
    yield f"{sweep.project}: {count}" + (f" ({sizes})" if sizes else "") + rest


def human(
    sweep: Sweep, points: Iterable[Run | Dropped], done: set[str], launch: Callable[[Run], Launch | None] | None
) -> Iterator[str]:
    """The whole plan in lines; `launch` (with -v) adds each run's command."""
    first = None
    count = dropped = 0
    run_lines: list[str] = []
    drop_lines: list[str] = []
    for point in points:
        if count + dropped >= LOOKED_AT or (count > PREVIEW and dropped > PREVIEW and not launch):
            break  # a plan of a million points is read by nobody, and there is nothing new to show
        if isinstance(point, Dropped):
            dropped += 1
            if dropped <= PREVIEW:
                drop_lines.append(f"  {point.index:>5}  {point.reason}")
            continue
        first, count = first or point, count + 1
        if count <= PREVIEW or launch:
            run_lines.append(f"  {point.number:>5}  {point.name}" + ("   (done)" if point.key in done else ""))
            if launch:
                made = launch(point)
                run_lines.append(f"         {shlex.join(made.argv) if made else 'cannot be prepared: see the errors'}")
    if sweep.axes:
        yield "varied:"
        for axis in sweep.axes:
            for key, texts in axis.texts.items():
                values = ", ".join(texts[:8]) + (f", ... ({len(texts)} values)" if len(texts) > 8 else "")
                yield f"  {key:<28} {values:<40} {axis.source}"
    if first is not None:
        yield "the same in all runs:"
        in_order = sorted(first.options.items(), key=lambda item: item[1].source.label != "built-in")
        same = [(key, setting) for key, setting in in_order if setting.written not in first.varied]
        wide = max((len(_name(key, setting)) for key, setting in same), default=0)
        for key, setting in same:
            yield f"  {_name(key, setting):<{wide}}  {_text(key, setting):<40} {setting.source}"
    yield "runs:"
    yield from run_lines or ["  none"]
    if count > PREVIEW and (not launch or count + dropped >= LOOKED_AT):
        yield f"  ... and more: {sweep.size} in all"
    if drop_lines:
        yield "dropped:"
        yield from drop_lines
        if dropped > PREVIEW:
            yield "  ... and more"


def as_json(
    sweep: Sweep,
    temp_dir: str,
    points: Iterable[Run | Dropped],
    done: set[str],
    launch: Callable[[Run], tuple[Launch | None, AttemptFolder]],
    problems: list[Problem],
) -> Iterator[str]:
    """One JSON object in pieces: a plan of a million points is never held in memory."""
    yield f'{{"project": {json.dumps(sweep.project)}, "temp_dir": {json.dumps(temp_dir)}, "runs": ['
    dropped: list[Dropped] = []
    comma = ""
    for point in points:
        if isinstance(point, Dropped):
            dropped.append(point)
            continue
        made, folder = launch(point)
        entry = {
            "index": point.index,
            "key": point.key,
            "name": point.name,
            "varied": {setting.written: setting.value for setting in _varied(point)},
            "options": {key: shown(key, option.value) for key, option in point.options.items()},
            "gpus": made.gpus if made else None,
            "argv": list(made.argv) if made else None,
            "cwd": made.cwd if made else None,
            "folder": str(folder.path),
            "done": point.key in done,
        }
        yield comma + "\n" + json.dumps(entry, ensure_ascii=False)
        comma = ","
    yield '\n], "dropped": ' + json.dumps([vars(point) for point in dropped], ensure_ascii=False)
    yield ', "problems": ' + json.dumps([vars(problem) for problem in problems], ensure_ascii=False) + "}\n"


def problem_lines(problems: list[Problem]) -> Iterator[str]:
    for problem in problems:
        yield f"{problem.severity}: {problem}"


def _varied(run: Run) -> Iterator[Setting]:
    return (setting for setting in run.options.values() if setting.written in run.varied)


def _name(key: str, setting: Setting) -> str:
    return key if setting.written == key else f"{setting.written} = {key}"


def _text(key: str, setting: Setting) -> str:
    return str(shown(key, text_of(setting.value)))


def _first(items: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return list(items)[:1]
