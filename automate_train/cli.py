"""argv -> settings -> one command. The only place that prints, sets signal handlers and exits.

Covers: the sweep from its two files to its summary, `status`, `args`; the exit codes.
Not: how anything is done; every step is a call into the room below. Heavy rooms are imported on the path that needs
them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .errors import Problem, RunError, UserError
from .flags import (
    COMMANDS,
    SETTINGS,
    args_parser,
    gibibytes,
    indexes,
    masked,
    number,
    spell,
    status_parser,
    sweep_parser,
)

if TYPE_CHECKING:
    from .gpus import Gpu
    from .launch import Site
    from .sweep import Dropped, Run, Sweep


def main(argv: Sequence[str]) -> int:
    """The exit code: 0 done, 1 a run failed, 2 the user's files, flags or environment, 3 our bug, 130 interrupted."""
    try:
        if argv and argv[0] in COMMANDS:
            return {"status": _status, "args": _args}[argv[0]](argv[1:])
        return _sweep(argv)
    except UserError as error:
        return _say_error(str(error), 2)
    except RunError as error:
        return _say_error(str(error), 1)
    except KeyboardInterrupt:
        return _say_error("interrupted", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # `| head` closed our output: nothing is left to say
        return 0
    except Exception as error:
        return _say_error(f"this is a bug of automate-train: {error!r}; details are in {_keep_traceback()}", 3)


def _say_error(text: str, code: int) -> int:
    # A lone surrogate from a file name must not turn an error into a traceback.
    print(f"automate-train: {text}".encode(errors="backslashreplace").decode(), file=sys.stderr)
    return code


def _keep_traceback() -> str:
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="automate-train-bug-", suffix=".txt", delete=False) as file:
        traceback.print_exc(file=file)
    return file.name


# sub-commands


def _status(argv: Sequence[str]) -> int:
    from . import status

    flags = status_parser().parse_args(spell(argv))
    journal, folder = status.open_sweep(flags.dir)
    if flags.json:
        import json

        print(json.dumps(status.as_json(journal, folder), ensure_ascii=False, indent=1))
    else:
        for line in status.lines(journal, folder):
            print(line)
    return 0


def _args(argv: Sequence[str]) -> int:
    from pathlib import Path

    from .trainers import arguments, listing

    flags = args_parser().parse_args(spell(argv))
    script, word = (flags.word, "") if flags.word.endswith(".py") else (None, flags.word)
    path = arguments.find_script(Path(flags.repo), script, None, False)
    rows = listing.table(arguments.accepted(path), word)
    if not rows:
        raise UserError(f"{path.name} accepts nothing with {word!r} in its name or help", source=str(path))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print(
            "  ".join(f"{cell:<{min(width, 40)}}" for cell, width in zip(row, widths, strict=False)), row[4], sep="  "
        )
    return 0


# the sweep


def _sweep(argv: Sequence[str]) -> int:
    flags = sweep_parser().parse_args(spell(argv))
    if flags.version:
        from . import __version__

        print(f"automate-train {__version__}")
        return 0
    from . import plan
    from .folder import SweepFolder

    if flags.json and not flags.dry_run:
        raise UserError("--json goes with --dry-run", hint="for a running sweep: automate-train status DIR --json")
    sweep, problems, options = _settle(flags)
    site, gpus, pool, limit = _place(flags, sweep, options, problems)
    folder = SweepFolder(site.temp_dir, site.project)
    done = _done(folder)
    points = _Points(sweep, flags, done)
    problems += _preflight(sweep, points, site, gpus, pool)
    errors = any(problem.severity == "error" for problem in problems)
    if flags.json:
        from .plan import as_json

        for piece in as_json(sweep, site.temp_dir, points.chosen(), done, _launcher(site, folder), problems):
            sys.stdout.write(piece)
        return 2 if errors else 0
    for line in plan.head(sweep, points.left(), points.known_done()):
        print(line)
    if flags.dry_run:
        launcher = _launcher(site, folder)
        launch = (lambda run: launcher(run)[0]) if flags.verbose else None
        for line in plan.human(sweep, points.chosen(), done, launch):
            print(line)
    for line in plan.problem_lines(problems):
        print(line, file=sys.stderr)
    if errors:
        return 2
    if flags.dry_run:
        return 0
    from .work import Order, work

    left = points.left()
    order = Order(
        todo=points.todo,
        total=sweep.size if left is None else left,
        site=site,
        folder=folder,
        gpus=gpus,
        pool=pool,
        memory_limit=limit,
        stop_on_failure=options["on_failure"] == "stop",
        plain=flags.plain,
        argv=tuple(masked(argv)),
    )
    return work(order)


def _settle(flags: Any) -> tuple[Sweep, list[Problem], dict[str, Any]]:
    """Both files, --set and the flags as one sweep; the settings of the sweep as a whole."""
    from .config import Layer, Source, built_in, merge, parse_set, read
    from .sweep import expand

    layers = [built_in()]
    if flags.default_config_path:
        layers.append(read(flags.default_config_path, "default file"))
    if flags.tuning_config_path:
        layers.append(read(flags.tuning_config_path, "tuning file"))
    if len(layers) == 1 and not flags.set:
        hint = "automate-train --default_config_path default.json --tuning_config_path tuning.json"
        raise UserError("no config file was given", hint=hint)
    layers.append(parse_set(flags.set))
    given = {key: value for key in SETTINGS if (value := getattr(flags, key)) is not None}
    if "port" in given:
        given["port"] = number("--port", given["port"], 1)
    layers.append(Layer(Source("command line"), given))
    merged, problems = merge(layers)
    start = number("--train_id_start", flags.train_id_start) if flags.train_id_start else 0
    sweep = expand(merged.settings, number_start=start)
    return sweep, problems, {key: setting.value for key, setting in merged.settings.items()}


def _place(
    flags: Any, sweep: Sweep, options: dict[str, Any], found: list[Problem]
) -> tuple[Site, list[Gpu], tuple[str, ...], int]:
    """The machine: where the folders go, its devices, those that runs share (their number is that of the runs at a
    time), the bytes that must be free on one. What is wrong with the devices goes to `found`."""
    from .keys import BUILT_IN, unset
    from .launch import Site

    gpus: list[Gpu] = []
    pool: tuple[str, ...] = ()
    listed, limit = flags.cuda_devices_distributed, 0
    flag = "--cuda_devices_distributed" if listed is not None else "--cuda-memory-limit"
    asked = listed is not None or flags.cuda_memory_limit is not None
    if flags.cuda_memory_limit is not None:
        limit = gibibytes("--cuda-memory-limit", flags.cuda_memory_limit)
    if flags.cpu is None:
        from . import gpus as door

        gpus = door.snapshot()
        if not gpus:
            text = f"no GPU can be used here: {door.why()}"
            found.append(
                Problem("error", "command line", flag, text, "on the CPU: --cpu N")
                if asked
                else Problem("warning", "", "", f"{text}; everything runs on the CPU", "--cpu N: N runs at a time")
            )
        elif listed is not None:
            try:
                visible = os.environ.get("CUDA_VISIBLE_DEVICES")
                pool = tuple(door.parse_devices(listed, gpus, visible, flag, "command line"))
            except UserError as error:
                found.append(error.problem)
    elif asked:
        raise UserError("--cpu and the --cuda flags exclude each other", source="command line")
    slots = len(pool) if pool else number("--cpu", flags.cpu, 1) if flags.cpu else 1
    temp_dir = BUILT_IN["temp_dir"] if unset(options["temp_dir"]) else options["temp_dir"]
    site = Site(
        temp_dir=os.path.abspath(os.path.expanduser(str(temp_dir))),
        project=sweep.project,
        slots=slots,
        cores=len(os.sched_getaffinity(0)),
        cpu=not gpus,
    )
    return site, gpus, pool, limit


def _preflight(sweep: Sweep, points: _Points, site: Site, gpus: list[Gpu], pool: tuple[str, ...]) -> list[Problem]:
    from . import preflight

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    problems = preflight.check(sweep, points.todo(), site)
    return [*preflight.check_devices(sweep, points.todo(), gpus, pool, visible, site), *problems]


def _done(folder: Any) -> set[str]:
    if not folder.journal.exists():
        return set()
    from .journal import Journal

    journal = Journal(folder.journal, read_only=True)
    try:
        return journal.succeeded()
    finally:
        journal.close()


def _launcher(site: Site, folder: Any) -> Any:
    """run -> (its Launch, the attempt's folder it would get); (None, folder) when it cannot be prepared."""
    from .job import planned
    from .journal import Journal
    from .trainers import load

    journal = Journal(folder.journal, read_only=True) if folder.journal.exists() else None

    def launch(run: Run) -> Any:
        name, count = journal.place(planned(run)) if journal else (f"{run.number:03d}-{run.slug}", 1)
        attempt = folder.attempt(name, count)
        try:
            return load(run.options["trainer"].value).prepare(run, attempt, site), attempt
        except UserError:
            return None, attempt

    return launch


class _Points:
    """The points that this command is about: all of the sweep, or those that --only and --skip_to_index leave."""

    def __init__(self, sweep: Sweep, flags: Any, done: set[str]) -> None:
        first = number("--skip_to_index", flags.skip_to_index) if flags.skip_to_index else 0
        ranges = indexes("--only", flags.only) if flags.only else [range(first, sweep.size)]
        for each in ranges:
            if each.start >= sweep.size or each.stop > sweep.size:
                flag = "--only" if flags.only else "--skip_to_index"
                raise UserError(f"the sweep has the indexes 0 to {sweep.size - 1}", source="command line", key=flag)
        self.sweep, self.ranges, self.first = sweep, ranges, first
        self.done = set() if flags.rerun else done

    def chosen(self) -> Iterator[Run | Dropped]:
        seen = self.first
        for each in self.ranges:
            for index in range(max(seen, each.start), each.stop):
                yield self.sweep.point(index)
            seen = max(seen, each.stop)

    def todo(self) -> Iterator[Run]:
        """Runs that are not done; those of `chosen` without dropped points."""
        from .sweep import Run

        return (point for point in self.chosen() if isinstance(point, Run) and point.key not in self.done)

    def left(self) -> int | None:
        """How many are to do; None when counting them would take long."""
        return sum(1 for _ in self.todo()) if self.sweep.size <= 20_000 else None

    def known_done(self) -> int:
        if self.sweep.size > 20_000:
            return 0
        from .sweep import Run

        return sum(1 for point in self.chosen() if isinstance(point, Run) and point.key in self.done)
