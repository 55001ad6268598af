"""The command line as data: every flag and sub-command, their spellings, and mistyped ones.

Covers: argparse and what it cannot do (`-` and `_` interchangeable, `-cuda-memory-limit`, the nearest flag in an
error). Not: what the flags do (`cli`). Only argparse is imported: `--help` must be quick.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn

from ..errors import UserError, nearest

HIGHEST = 10**15
"""Of a number given to a flag: an index of the largest sweep."""
COMMANDS = ("status", "stop", "logs", "retry", "report", "grid", "best", "sample", "args")

SETTINGS = {
    "project_name_base": "name of the sweep",
    "model_file": "base model: a file, a diffusers folder or a hub name",
    "images_folder": "folder of training pictures",
    "port": "first port for accelerate",
    "cuda_device": "devices of one run, for example 0 or 0,1",
    "venv_path": "virtual environment of the trainer",
    "entity_name": "W&B entity, for {entity} in a tracker template",
    "on_failure": "stop (finish what runs, start nothing more) or continue",
    "on_nan": "stop (end a run whose loss is NaN three times in a row) or ignore",
    "retries": "tries of a run that failed for what passes by itself: a port, a lost GPU, a tracker",
}
"""Flags that set one key, above both files."""

EPILOG = """\
other commands:
  automate-train status DIR [--watch]       how a sweep stands, from any terminal (--json: one object)
  automate-train stop DIR [--now]           start nothing more; --now: end what runs
  automate-train logs DIR INDEX [-f]        what a run's trainer has said; -f: and goes on saying
  automate-train retry DIR [INDEX...]       try failed and lost runs again
  automate-train report DIR                 the comparison page: pictures, curves, table (report.html)
  automate-train grid DIR --x K --y K -o F  a labelled picture of sample pictures by two keys
  automate-train best DIR [--marks FILE]    the chosen run's settings as a new default config
  automate-train sample DIR                 sample pictures that are missing, or of new prompts, on a WebUI
  automate-train args REPO_DIR [SCRIPT]     what a trainer accepts; `args REPO_DIR lr` searches

exit codes: 0 all succeeded or already done, 1 a run failed, 2 files, flags or environment are wrong,
3 a bug of automate-train, 130 interrupted

The same command again continues a sweep: runs that succeeded are not run again."""


DIR = "<temp_dir>/<project_name_base>, or a temp_dir with one sweep"


class Parser(argparse.ArgumentParser):
    """Errors as `UserError` instead of a usage dump."""

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments: "):
            word = message.split(": ", 1)[1].split()[0]
            if not word.startswith("-"):
                hint = nearest(word, COMMANDS) or f"commands: {', '.join(COMMANDS)}; see automate-train --help"
                raise UserError(f"{word!r} belongs to no flag and is no command", source="command line", hint=hint)
            known = [name for name in self._option_string_actions if name.startswith("--")]
            raise UserError(
                f"there is no flag {word}", hint=nearest(word.replace("_", "-"), known) or "see automate-train --help"
            )
        raise UserError(message, source="command line", hint="see automate-train --help")


def sweep_parser() -> Parser:
    parser = Parser(
        prog="automate-train",
        description="Sweep LoRA training over every *_list key of two config files.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--default-config-path", metavar="FILE", help="what all runs share (JSON with comments, or TOML)")
    add("--tuning-config-path", metavar="FILE", help="what this sweep changes; wins over the default file")
    add(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="one more setting, above both files (repeatable)",
    )
    for key, text in SETTINGS.items():
        add("--" + key.replace("_", "-"), metavar="VALUE", help=text)
    add("--cuda-devices-distributed", metavar="0,1|all", help="share these devices among as many runs at a time as fit")
    add("--cuda-memory-limit", metavar="GIB", help="use a device only while it has this much memory free, in GiB")
    add("--cpu", metavar="N", nargs="?", const="1", help="train on the CPU, N runs at a time (default 1)")
    add("--dry-run", "--debug", action="store_true", help="print the plan and every problem; start and write nothing")
    add("--json", action="store_true", help="with --dry-run: the plan as one JSON object")
    add("--only", metavar="0,3,5-7", help="only the runs with these indexes")
    add("--skip-to-index", metavar="N", help="begin at index N; names and numbers stay")
    add("--train-id-start", metavar="K", help="count the numbers shown in names from K; indexes stay")
    add("--rerun", action="store_true", help="run also what has already succeeded, as a new attempt")
    add("--background", action="store_true", help="go on without this terminal; says how to follow and stop it")
    add("--plain", action="store_true", help="lines instead of the live table")
    add("-v", "--verbose", action="store_true", help="show each run's command in the plan")
    add("--version", action="store_true", help="print the version")
    return parser


def status_parser() -> Parser:
    parser = Parser(prog="automate-train status", description="How a sweep stands.", allow_abbrev=False)
    parser.add_argument("dir", metavar="DIR", help=DIR)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--watch", action="store_true", help="again every two seconds, until the sweep is over")
    return parser


def stop_parser() -> Parser:
    text = "Let a sweep finish what runs and start nothing more. The sweep's own command goes on later."
    parser = Parser(prog="automate-train stop", description=text, allow_abbrev=False)
    parser.add_argument("dir", metavar="DIR", help=DIR)
    parser.add_argument("--now", action="store_true", help="end what runs: SIGTERM, after 10 s SIGKILL")
    return parser


def logs_parser() -> Parser:
    text = "What the trainer of a run has said, as it said it."
    parser = Parser(prog="automate-train logs", description=text, allow_abbrev=False)
    parser.add_argument("dir", metavar="DIR", help=DIR)
    parser.add_argument("index", metavar="INDEX", help="the run's index")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the run has ended")
    return parser


def retry_parser() -> Parser:
    text = "Try failed, lost and cancelled runs again: the sweep's own command, for these runs alone."
    parser = Parser(prog="automate-train retry", description=text, allow_abbrev=False)
    parser.add_argument("dir", metavar="DIR", help=DIR)
    parser.add_argument("index", metavar="INDEX", nargs="*", help="only these (default: all that did not succeed)")
    return parser


def args_parser() -> Parser:
    text = "What a trainer's script accepts, read from its source."
    parser = Parser(prog="automate-train args", description=text, allow_abbrev=False)
    parser.add_argument("repo", metavar="REPO_DIR", help="folder of sd-scripts, or `tiny`")
    parser.add_argument(
        "word", metavar="SCRIPT|WORD", nargs="?", default="", help="a script of it, or a word to search for"
    )
    return parser


def spell(argv: Sequence[str]) -> list[str]:
    """`--cuda_memory_limit=9` and `-cuda-memory-limit 9` as argparse knows them; values stay as they are."""
    spelled: list[str] = []
    for at, word in enumerate(argv):
        if word == "--":
            return [*spelled, *argv[at:]]
        if len(word) > 3 and word[0] == "-" and word[1].isalpha():
            word = "-" + word
        if word.startswith("--"):
            flag, equals, value = word.partition("=")
            word = flag.replace("_", "-") + equals + value
        spelled.append(word)
    return spelled


def masked(argv: Sequence[str]) -> list[str]:
    """The command as it may be shown and kept: `***` for a secret's value behind --set."""
    from ..config.keys import MASKED, canonical

    shown: list[str] = []
    for word in argv:
        behind = bool(shown) and spell(shown[-1:]) == ["--set"]
        start = "" if behind else word[: word.find("=") + 1] if spell([word])[0].startswith("--set=") else None
        key, equals, _ = word[len(start or "") :].partition("=")
        secret = start is not None and equals and canonical(key.strip()).removesuffix("_list") in MASKED
        shown.append(f"{start}{key}=***" if secret else word)
    return shown


def number(flag: str, text: str, lowest: int = 0) -> int:
    try:
        value = int(text)
    except ValueError:
        value = lowest - 1
    if not lowest <= value <= HIGHEST:
        raise UserError(f"{text[:40]!r} is no whole number from {lowest} up", source="command line", key=flag)
    return value


def gibibytes(flag: str, text: str) -> int:
    """A decimal number of GiB as bytes; 0 when the flag is not given."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e6:
        hint = "for example 9 or 7.5"
        raise UserError(f"{text!r} is no number of GiB above 0", source="command line", key=flag, hint=hint)
    return int(value * 1024**3)


def indexes(flag: str, text: str) -> list[range]:
    """`0,3,5-7` -> ranges, in the order of the sweep."""
    ranges = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        wrong = not re.fullmatch(r"[0-9]{1,18}(-[0-9]{1,18})?", part.strip())
        if wrong or (dash and int(last) < int(first)):
            hint = "for example 0,3,5-7"
            raise UserError(f"{part.strip()!r} is no index and no range", source="command line", key=flag, hint=hint)
        ranges.append(range(int(first), int(last or first) + 1))
    return sorted(ranges, key=lambda each: each.start)
