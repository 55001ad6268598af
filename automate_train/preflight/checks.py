"""Every problem that can be known before anything starts, at once.

Covers: which checks there are, their order, each problem once; one line for what is alike in many runs. Not: what a
particular trainer needs (`trainers/*`), printing (`plan`), refusing (`pipeline`). Nothing is created on disk.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from ..config.masking import Masker
from ..config.sampling_options import on_webui
from ..errors import Problem, UserError
from ..machine import lock
from ..machine.gpus import Gpu
from ..records import Run, Setting, SweepContext
from ..store.layout import SweepFolder
from ..sweep.product import Sweep
from ..sweep.selection import Selection
from ..trainers import load
from . import cluster, devices, disk, own_keys

ALIKE = 3
"""Problems that differ by their numbers alone; of more than these only the first is shown."""
NUMBER = re.compile(r"\d[\d.]*(e[+-]?\d+)?", re.IGNORECASE)


def check(
    selection: Selection, context: SweepContext, gpus: Sequence[Gpu] | None, starts: bool = True
) -> list[Problem]:
    """What is wrong with the runs that are to do, and with this machine for them; errors first. `starts`: the runs are
    to be started, which nobody may do while another process runs the sweep."""
    runs = list(selection.examples())
    if not runs:
        return []
    share = max(1.0, selection.sweep.size / len(runs)) if selection.is_large else 1.0
    found = [
        *devices.problems(runs, context, gpus),
        *cluster.problems(runs, context),
        *_of_runs(runs, context),
        *disk.problems(runs, context, share),
        *_lock(context, starts),
        *of_servers([run.options for run in runs]),
    ]
    return sorted(dict.fromkeys(found), key=lambda problem: problem.severity != "error")


def _of_runs(runs: Sequence[Run], context: SweepContext) -> Iterator[Problem]:
    """What is wrong with the runs. A list of thousands of values may have a problem with each: that is one line."""
    alike: dict[tuple[Problem, int], dict[Problem, int]] = {}
    for run in runs:
        counts: Counter[Problem] = Counter()  # what a run has twice, like two lines of a file, is not one problem
        for problem in of_run(run, context):
            shape = problem._replace(message=NUMBER.sub("0", problem.message))
            alike.setdefault((shape, counts[shape]), {}).setdefault(problem, run.number)
            counts[shape] += 1
    for group in alike.values():
        if len(group) <= ALIKE:
            yield from group
            continue
        first, others = next(iter(group)), list(group.values())[1:]
        text = f"{first.message}; and with other values in {len(others):,} more runs: "
        yield first._replace(message=text + ", ".join(map(str, others[:ALIKE])) + (", ..." if others[ALIKE:] else ""))


def of_run(run: Run, context: SweepContext) -> Iterator[Problem]:
    """What is wrong with one run: the keys that steer the sweep, then what its trainer says of the others."""
    wrong: set[str] = set()
    for problem in own_keys.problems(run.options):
        wrong.add(problem.key)
        yield problem
    try:
        found = load(run.options["trainer"].value).problems(run, context)
    except UserError as error:
        found = [error.problem]
    yield from (problem for problem in found if problem.severity == "warning" or problem.key not in wrong)


def secrets_in_names(sweep: Sweep, masker: Masker) -> Iterator[Problem]:
    """Names of runs, folders and files show what varies, and the project: nothing could mask a secret there."""
    for axis in sweep.axes:
        for key, texts in axis.texts.items():
            if any(masker.text(text) != text for text in texts):
                text = "holds a secret, and the values of a list are in the names of the runs"
                yield Problem("error", axis.source, f"{key}_list", text, "give the list other values")
    if masker.text(sweep.project) != sweep.project:
        yield Problem("error", "", "project_name_base", "holds a secret, and is in the names of runs and folders")


def _lock(context: SweepContext, starts: bool) -> Iterator[Problem]:
    folder = SweepFolder(context.temp_dir, context.project)
    if lock.is_held(folder.lock):
        yield lock.refusal(folder.lock).problem._replace(severity="error" if starts else "warning")


def of_servers(options: Sequence[Mapping[str, Setting]]) -> Iterator[Problem]:
    """What is wrong with the servers and prompts of those runs that are sampled on a WebUI."""
    sampled = [each for each in options if on_webui({key: setting.value for key, setting in each.items()})]
    if sampled:
        from . import image_servers  # requests: 60 ms, which a sweep without a server need not wait for

        yield from image_servers.problems(sampled)
