"""argv -> settings -> one command. The only place that prints, sets signal handlers and exits.

Covers: the sweep from its two files to its summary, `status`, `args`; the exit codes.
Not: how anything is done; every step is a call into the room below. Heavy rooms are imported on the path that needs
them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .errors import Problem, RunError, UserError
from .flags import (
    COMMANDS,
    SETTINGS,
    args_parser,
    logs_parser,
    masked,
    number,
    retry_parser,
    spell,
    status_parser,
    stop_parser,
    sweep_parser,
)

if TYPE_CHECKING:
    from .launch import Site
    from .machine import Machine
    from .points import Points
    from .sweep import Run, Sweep


def main(argv: Sequence[str]) -> int:
    """The exit code: 0 done, 1 a run failed, 2 the user's files, flags or environment, 3 our bug, 130 interrupted."""
    try:
        if argv and argv[0] in COMMANDS:
            commands = {
                "status": _status, "stop": _stop, "logs": _logs, "retry": _retry, "sample": _sample, "args": _args,
            }  # fmt: skip
            return commands[argv[0]](argv[1:])
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
        if _is_of_sqlite(error):
            hint = "the sweep's own command repairs it"
            return _say_error(f"the sweep's journal cannot be read: {error} ({hint})", 2)
        return _say_error(f"this is a bug of automate-train: {error!r}; details are in {_keep_traceback()}", 3)


def _is_of_sqlite(error: Exception) -> bool:
    """Without importing sqlite3, which most commands never need."""
    sqlite = sys.modules.get("sqlite3")
    return sqlite is not None and isinstance(error, sqlite.DatabaseError)


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
    if flags.watch and not flags.json:
        from .watch import watch

        return watch(flags.dir)
    journal, folder = status.open_sweep(flags.dir)
    if flags.json:
        import json

        print(json.dumps(status.as_json(journal, folder), ensure_ascii=False, indent=1))
    else:
        for line in status.lines(journal, folder):
            print(line)
    return 0


def _stop(argv: Sequence[str]) -> int:
    from . import control

    flags = stop_parser().parse_args(spell(argv))
    for line in control.stop(flags.dir, flags.now):
        print(line)
    return 0


def _logs(argv: Sequence[str]) -> int:
    from . import control

    flags = logs_parser().parse_args(spell(argv))
    for data in control.logs(flags.dir, number("INDEX", flags.index), flags.follow):
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    return 0


def _retry(argv: Sequence[str]) -> int:
    from . import control

    flags = retry_parser().parse_args(spell(argv))
    again, cwd = control.retry(flags.dir, [number("INDEX", index) for index in flags.index])
    if not again:
        print("every run that began has succeeded")
        return 0
    os.chdir(cwd)  # the sweep's relative paths count from there
    return _sweep(again)


def _sample(argv: Sequence[str]) -> int:
    from . import sampler

    return sampler.main(argv)


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
    from .machine import look
    from .points import Points

    if flags.json and not flags.dry_run:
        raise UserError("--json goes with --dry-run", hint="for a running sweep: automate-train status DIR --json")
    sweep, problems, options = _settle(flags)
    machine = look(flags, sweep.project, options["temp_dir"], problems)
    site = machine.site
    folder = SweepFolder(site.temp_dir, site.project)
    done = _done(folder)
    points = Points(sweep, flags, done)
    problems += _preflight(sweep, points, machine)
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

    if flags.background:
        from . import control

        for line in control.background(argv, folder):
            print(line)
        return 0
    left = points.left()
    order = Order(
        todo=points.todo,
        total=sweep.size if left is None else left,
        site=site,
        folder=folder,
        gpus=machine.gpus,
        pool=machine.pool,
        memory_limit=machine.limit,
        stop_on_failure=options["on_failure"] == "stop",
        plain=flags.plain,
        argv=tuple(masked(argv)),
        webui=points.webui(),
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


def _preflight(sweep: Sweep, points: Points, machine: Machine) -> list[Problem]:
    from . import preflight

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = preflight.check_devices(sweep, points.todo(), machine.gpus, machine.pool, visible, machine.site)
    return [
        *devices,
        *preflight.check(sweep, points.todo(), machine.site),
        *preflight.check_webuis(sweep, points.todo()),
    ]


def _done(folder: Any) -> set[str]:
    """Keys of runs that have succeeded; of a damaged journal none, until `rebuild` has read them back."""
    if not folder.journal.exists():
        return set()
    from .journal import Journal

    if Journal.broken(folder.journal):
        return set()
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

    usable = folder.journal.exists() and not Journal.broken(folder.journal)
    journal = Journal(folder.journal, read_only=True) if usable else None

    def launch(run: Run) -> Any:
        name, count = journal.place(planned(run)) if journal else (f"{run.number:03d}-{run.slug}", 1)
        attempt = folder.attempt(name, count)
        try:
            return load(run.options["trainer"].value).prepare(run, attempt, site), attempt
        except UserError:
            return None, attempt

    return launch
