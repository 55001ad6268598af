"""argv -> settings -> one command. The only place that prints, sets signal handlers and exits.

Covers: the sweep from its two files to its summary, `status`, `args`; the exit codes.
Not: how anything is done; every step is a call into the room below. Heavy rooms are imported on the path that needs
them.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from ..errors import Problem, RunError, UserError
from .parser import COMMANDS, masked, number, retry_parser, spell, sweep_parser

if TYPE_CHECKING:
    from ..preflight.context import Machine
    from ..records import Run, SweepContext
    from ..sweep.product import Sweep
    from ..sweep.selection import Points


def main(argv: Sequence[str]) -> int:
    """The exit code: 0 done, 1 a run failed, 2 the user's files, flags or environment, 3 our bug, 130 interrupted."""
    _open_streams("--json" in argv)
    try:
        if argv and argv[0] == "retry":
            return _retry(argv[1:])
        if argv and argv[0] in COMMANDS:
            from . import commands

            return int(getattr(commands, argv[0])(argv[1:]))
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
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _say_error(f"{where}{error.strerror or error} (is the disk full, the folder gone?)", 2)
    except UnicodeEncodeError as error:
        return _say_error(f"this system's encoding has no {error.object[error.start : error.end]!a} (PYTHONUTF8=1)", 2)
    except Exception as error:
        if text := _of_sqlite(error):
            return _say_error(text, 2)
        return _say_error(f"this is a bug of automate-train: {error!r}; details are in {_keep_traceback()}", 3)


def _open_streams(json: bool) -> None:
    """Closed streams (`>&-`) take nothing, and what a terminal's encoding lacks is shown by its number."""
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            mode = "w" if fd else "r"
            # The lowest free number is the closed one: a journal opened under it would get what others print.
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
        elif fd and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace", **({"encoding": "utf-8"} if json and fd == 1 else {}))


def _of_sqlite(error: Exception) -> str:
    """What to say of an error of SQLite, "" of any other; without importing it, which most commands never need."""
    sqlite = sys.modules.get("sqlite3")
    if sqlite is None or not isinstance(error, sqlite.DatabaseError):
        return ""
    if isinstance(error, sqlite.OperationalError):
        hint = "free some room, or end who locks it; then the same command goes on"
        return f"the sweep's journal cannot be written: {error} ({hint})"
    return f"the sweep's journal cannot be read: {error} (the sweep's own command repairs it)"


def _say_error(text: str, code: int) -> int:
    # A lone surrogate from a file name must not turn an error into a traceback.
    with contextlib.suppress(OSError, ValueError):
        print(f"automate-train: {text}".encode(errors="backslashreplace").decode(), file=sys.stderr)
    return code


def _keep_traceback() -> str:
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="automate-train-bug-", suffix=".txt", delete=False) as file:
        traceback.print_exc(file=file)
    return file.name


def _retry(argv: Sequence[str]) -> int:
    from . import control

    flags = retry_parser().parse_args(spell(argv))
    again, cwd = control.retry(flags.dir, [number("INDEX", index) for index in flags.index])
    if not again:
        print("every run that began has succeeded")
        return 0
    os.chdir(cwd)  # the sweep's relative paths count from there
    return _sweep(again)


def _sweep(argv: Sequence[str]) -> int:
    flags = sweep_parser().parse_args(spell(argv))
    if flags.version:
        from .. import __version__

        print(f"automate-train {__version__}")
        return 0
    from ..config.load import settle
    from ..preflight import plan
    from ..preflight.context import look
    from ..store.layout import SweepFolder
    from ..sweep.selection import Points

    if flags.json and not flags.dry_run:
        raise UserError("--json goes with --dry-run", hint="for a running sweep: automate-train status DIR --json")
    sweep, problems, options = settle(flags)
    machine = look(flags, sweep.project, options["temp_dir"], problems)
    context = machine.context
    folder = SweepFolder(context.temp_dir, context.project)
    done = _done(folder)
    points = Points(sweep, flags, done)
    problems += _preflight(sweep, points, machine)
    errors = any(problem.severity == "error" for problem in problems)
    if flags.json:
        from ..preflight.plan import as_json

        for piece in as_json(sweep, context.temp_dir, points.chosen(), done, _launcher(context, folder), problems):
            sys.stdout.write(piece)
        return 2 if errors else 0
    going = not flags.dry_run and not errors
    _show(plan.head(sweep, points.left(), points.known_done()), sys.stdout, going)
    if flags.dry_run:
        launcher = _launcher(context, folder)
        launch = (lambda run: launcher(run)[0]) if flags.verbose else None
        _show(plan.human(sweep, points.chosen(), done, launch), sys.stdout, going)
    _show(plan.problem_lines(problems), sys.stderr, going)
    if errors:
        return 2
    if flags.dry_run:
        return 0
    from ..pipeline import Order, work

    if flags.background:
        from . import control

        for line in control.background(argv, folder):
            print(line)
        return 0
    left = points.left()
    order = Order(
        todo=points.todo,
        total=sweep.size if left is None else left,
        context=context,
        folder=folder,
        gpus=machine.gpus,
        pool=machine.pool,
        memory_limit=machine.limit,
        stop_on_failure=options["on_failure"] == "stop",
        plain=flags.plain,
        argv=tuple(masked(argv)),
        files={"default file": flags.default_config_path, "tuning file": flags.tuning_config_path},
        webui=points.webui(),
    )
    return work(order)


def _show(lines: Iterable[str], stream: TextIO, going: bool) -> None:
    """`going`: a sweep follows, and a full log disk must not keep it from starting."""
    for line in lines:
        try:
            print(line, file=stream, flush=True)
        except (OSError, ValueError):
            if not going:
                raise


def _preflight(sweep: Sweep, points: Points, machine: Machine) -> list[Problem]:
    from ..preflight import checks

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = checks.check_devices(sweep, points.todo(), machine.gpus, machine.pool, visible, machine.context)
    return [
        *devices,
        *checks.check(sweep, points.todo(), machine.context),
        *checks.check_webuis(sweep, points.todo()),
    ]


def _done(folder: Any) -> set[str]:
    """Keys of runs that have succeeded; of a damaged journal none, until `rebuild` has read them back."""
    if not os.path.exists(folder.journal):
        return set()
    from ..store.journal import Journal

    if Journal.broken(folder.journal):
        return set()
    journal = Journal(folder.journal, read_only=True)
    try:
        return journal.succeeded()
    finally:
        journal.close()


def _launcher(context: SweepContext, folder: Any) -> Any:
    """run -> (its Launch, the attempt's folder it would get); (None, folder) when it cannot be prepared."""
    from ..store.journal import Journal
    from ..trainers import load
    from ..training.prepare import planned

    usable = os.path.exists(folder.journal) and not Journal.broken(folder.journal)
    journal = Journal(folder.journal, read_only=True) if usable else None

    def launch(run: Run) -> Any:
        name, count = journal.place(planned(run)) if journal else (f"{run.number:03d}-{run.slug}", 1)
        attempt = folder.attempt(name, count)
        try:
            return load(run.options["trainer"].value).prepare(run, attempt, context), attempt
        except UserError:
            return None, attempt

    return launch
