"""`automate-train --default_config_path D --tuning_config_path T`: the sweep.

Covers: its flags, as a request. Not: what is done about it (`pipeline`).
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from .. import __version__
from ..config.key import Key
from ..config.key_table import KEYS
from ..errors import UserError
from . import COMMANDS
from .parser import Parser, gibibytes, runs, spell, whole

WIDTH = max(len(f"{name} {arguments}") for name, (arguments, _) in COMMANDS.items())
LISTING = "\n".join(
    f"  automate-train {f'{name} {arguments}':<{WIDTH}}  {text}" for name, (arguments, text) in COMMANDS.items()
)
EPILOG = f"""\
other commands:
{LISTING}

exit codes: 0 all succeeded or already done, 1 a run failed or still runs on another machine,
2 files, flags or environment are wrong, 3 a bug of automate-train, 130 interrupted

The same command again continues a sweep: runs that succeeded are not run again."""


def parser() -> Parser:
    made = Parser("", "Sweep LoRA training over every *_list key of two config files.", EPILOG)
    add = made.add_argument
    add("--default-config-path", metavar="FILE", help="what all runs share (JSON with comments, or TOML)")
    add("--tuning-config-path", metavar="FILE", help="what this sweep changes; wins over the default file")
    add("--set", metavar="KEY=VALUE", action="append", default=[],
        help="one more setting, above both files (repeatable)")  # fmt: skip
    for key in KEYS:
        if key.flag:
            name = (key.alias or key.name).replace("_", "-")
            add(f"--{name}", metavar="VALUE", type=whole(1) if key.name == "port" else str, help=_help(key))
    add("--cuda-devices-distributed", metavar="0,1|all", help="share these devices among as many runs at a time as fit")
    add("--cuda-memory-limit", metavar="GIB", type=gibibytes,
        help="use a device only while it has this much memory free, in GiB")  # fmt: skip
    add("--cpu", metavar="N", nargs="?", const=1, type=whole(1),
        help="train on the CPU, N runs at a time (default 1)")  # fmt: skip
    add("--dry-run", "--debug", action="store_true", help="print the plan and every problem; start and write nothing")
    add("--json", action="store_true", help="with --dry-run: the plan as one JSON object")
    add("--only", metavar="0,3,5-7,3f9a", type=runs, help="only these runs, by index or id")
    add("--skip-to-index", metavar="N", type=whole(0), help="begin at index N; names and numbers stay")
    add("--train-id-start", metavar="K", type=whole(0), default=0,
        help="count the numbers shown in names from K; indexes stay")  # fmt: skip
    add("--rerun", action="store_true", help="run also what has already succeeded, as a new attempt")
    add("--background", action="store_true", help="go on without this terminal; print how to follow and stop it")
    add("--check-cluster", action="store_true", help="only submit a job that looks whether a node has what runs need")
    add("--plain", action="store_true", help="lines instead of the live table")
    add("--samples-must", action="store_true", help="exit with 1 when a WebUI's sample is missing in the end, too")
    add("-v", "--verbose", action="store_true", help="show each run's command in the plan")
    add("--version", action="store_true", help="print the version")
    return made


def _help(key: Key) -> str:
    """Its meaning as the other flags' help is written, without a capital and a full stop, and its choices."""
    text = key.meaning.rstrip(".")
    text = text if text[1].isupper() or not text[1].isalpha() else text[0].lower() + text[1:]
    return f"{text} ({' or '.join(key.choices)})" if key.choices else text


def main(argv: Sequence[str]) -> int:
    flags = parser().parse(argv)
    if flags.version:
        print(f"automate-train {__version__}")
        return 0
    if flags.json and not flags.dry_run:
        raise UserError("--json goes with --dry-run", hint="for a running sweep: automate-train status DIR --json")
    if flags.cpu is not None and (flags.cuda_devices_distributed, flags.cuda_memory_limit) != (None, None):
        raise UserError("--cpu and the --cuda flags exclude each other", source="command line")
    return _run(argv, flags)


def _run(argv: Sequence[str], flags: Namespace) -> int:
    from .. import pipeline  # 35 ms, which --help need not wait for
    from ..sweep.request import SweepRequest

    files = {"default file": flags.default_config_path, "tuning file": flags.tuning_config_path}
    overrides = {name: getattr(flags, name) for name in (key.alias or key.name for key in KEYS if key.flag)}
    return pipeline.run(
        SweepRequest(
            config_files={label: path for label, path in files.items() if path is not None},
            sets=tuple(flags.set),
            overrides={key: value for key, value in overrides.items() if value is not None},
            cuda_devices=flags.cuda_devices_distributed,
            memory_limit=flags.cuda_memory_limit,
            cpu_slots=flags.cpu,
            only=flags.only,
            skip_to_index=flags.skip_to_index,
            train_id_start=flags.train_id_start,
            rerun=flags.rerun,
            dry_run=flags.dry_run,
            json=flags.json,
            verbose=flags.verbose,
            check_cluster=flags.check_cluster,
            plain=flags.plain,
            samples_must=flags.samples_must,
            command=tuple(argv),
            in_background=without(argv, "--background") if flags.background else None,
        )
    )


def without(argv: Sequence[str], switch: str, *flags: str) -> tuple[str, ...]:
    """The arguments without a switch, and without flags and their values."""
    kept, is_value = [], False
    for word in argv:
        name = spell([word])[0].partition("=")[0]
        if is_value:
            is_value = False
        elif name in flags:
            is_value = "=" not in word
        elif name != switch:
            kept.append(word)
    return tuple(kept)
