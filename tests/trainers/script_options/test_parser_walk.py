"""The reading of parsers from source, held against argparse itself where that can say how it is."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import textwrap
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from automate_train.trainers.script_options.argument import Argument
from automate_train.trainers.script_options.reader import accepted

ASK_PYTHON = """
import argparse, json, sys
sys.path.insert(0, sys.argv[1])
import train
rows = []
for action in train.setup_parser()._actions:
    flag = isinstance(action, (argparse._StoreTrueAction, argparse._StoreFalseAction, argparse.BooleanOptionalAction))
    kind = "bool" if flag else getattr(action.type, "__name__", "str")
    choices = None if action.choices is None else list(action.choices)
    if action.dest != "help" and any(option.startswith("--") for option in action.option_strings):
        nargs = None if flag else action.nargs
        rows.append([action.dest, kind, action.default, choices, nargs, action.required, action.help or ""])
print(json.dumps(rows).replace("%%", "%"))
"""


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return folder / "train.py"


def as_read(arguments: dict[str, Argument]) -> list[list[object]]:
    return [
        [a.name, a.type, a.default, a.choices and list(a.choices), a.nargs, a.required, a.help]
        for a in arguments.values()
    ]


SHAPE = {
    "train.py": """
        import argparse
        import base
        import library.model_util as model_util
        import library.deep.nested
        from library import train_util, naming
        from library.optimizers import add_optimizer_arguments as more
        from library.everything import *

        def setup_parser() -> argparse.ArgumentParser:
            parser = base.setup_parser()
            train_util.add_training_arguments(parser, True, support_caption=False)
            train_util.add_training_group(parser)
            model_util.add_model_arguments(parser)
            library.deep.nested.add(parser)
            naming.Options.add_to(parser)
            Trainer().add_more(parser)
            more(parser)
            add_from_star(parser)
            parser.set_defaults(seed=42)
            return parser

        class Trainer:
            def add_more(self, parser, kind="last"):
                self.add_last(parser, "--" + kind)

            def add_last(self, parser, name):
                parser.add_argument(name, action="store_true", default=True)
        """,
    "base.py": """
        import argparse
        from library import naming

        def setup_parser():
            parser = argparse.ArgumentParser(description="base")
            parser.add_argument("--seed", type=int, default=None, help="100%% random / 乱数")
            parser.add_argument("-o", "--output-name", "--name", type=str, help="first " "second" + " third")
            parser.add_argument("--no_half", dest="half", action="store_false")
            parser.add_argument("--extra_args")
            parser.add_argument("positional", nargs="?")
            parser.add_argument("-q", action="store_true")
            return parser
        """,
    "library/__init__.py": "",
    "library/train_util.py": """
        import argparse
        from .constants import SAMPLERS, SIZES
        from . import constants

        MODES = ["a", "b"]
        MODES += ["c"]

        def add_training_arguments(parser: argparse.ArgumentParser, support_dreambooth: bool, *, support_caption=True):
            parser.add_argument("--sampler", type=str, default="ddim", choices=SAMPLERS)
            parser.add_argument("--size", type=int, default=constants.DEFAULT, choices=[None] + list(SIZES.keys()))
            parser.add_argument("--mode", choices=MODES, required=True)
            parser.add_argument("--range", type=int, choices=range(1, 4))
            if support_dreambooth:
                parser.add_argument("--prior_loss_weight", type=float, default=1.0)
            else:
                parser.add_argument("--in_json")
            if support_caption:
                parser.add_argument("--caption", action="store_true")

        def add_training_group(parser):
            group = parser.add_argument_group("training", "help of it")
            group.add_argument("--learning_rate", type=float, default=-2.0e-6)
            either = group.add_mutually_exclusive_group()
            either.add_argument("--xformers", action="store_true")
            either.add_argument("--sdpa", action=argparse.BooleanOptionalAction, default=False)
            parser.add_argument_group("more").add_argument("--lrs", type=float, nargs="*")
        """,
    "library/constants.py": """
        SAMPLERS = ("ddim", "euler" "_a")
        SIZES = {512: object(), 768: object()}
        DEFAULT = 512
        """,
    "library/model_util.py": """
        def add_model_arguments(parser):
            def add(name, kind=str):
                parser.add_argument("--" + name, type=kind)
            add("vae")
            for i, kind in ((1, int), (2, float)):
                parser.add_argument(f"--te{i}", type=kind)
        """,
    "library/deep/nested.py": """
        def add(parser):
            from ..constants import SAMPLERS as ALL
            parser.add_argument("--nested", choices=ALL, nargs=2)
            parser.add_argument("--many", action="append", type=int)
        """,
    "library/naming.py": """
        class Options:
            KINDS = ["x", "y"]

            @staticmethod
            def add_to(parser):
                parser.add_argument("--kind", choices=Options.KINDS)
        """,
    "library/optimizers.py": """
        try:
            from library.fast import add_optimizer_arguments
        except ImportError:
            add_optimizer_arguments = None
        """,
    "library/fast.py": """
        from library import optimizers  # a harmless circle

        def add_optimizer_arguments(parser):
            parser.add_argument("--optimizer_args", nargs="+", default=None)
        """,
    "library/everything.py": """
        from library.star import *
        """,
    "library/star.py": """
        def add_from_star(parser):
            parser.add_argument("--star", type=float)
        """,
}


def test_the_shape_of_sd_scripts_is_read_as_argparse_has_it(tmp_path):
    script = write(tmp_path, SHAPE)
    done = subprocess.run([sys.executable, "-c", ASK_PYTHON, str(tmp_path)], capture_output=True, text=True, check=True)
    assert as_read(accepted(script)) == json.loads(done.stdout)


def test_a_link_leads_to_the_modules_beside_the_real_script(tmp_path):
    write(tmp_path / "real", SHAPE)
    (tmp_path / "train.py").symlink_to(tmp_path / "real" / "train.py")
    assert "star" in accepted(tmp_path / "train.py")


names = st.from_regex(r"[a-z][a-z0-9_]{0,8}[a-z0-9]", fullmatch=True).filter(lambda name: not name.startswith("help"))
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="%\0"), max_size=8)
options = st.fixed_dictionaries(
    {},
    optional={
        "default": st.none() | st.integers() | texts | st.booleans() | st.floats(allow_nan=False, allow_infinity=False),
        "choices": st.lists(texts | st.none() | st.integers(), min_size=1, max_size=4),
        "nargs": st.sampled_from(["*", "+", "?", 2]),
        "required": st.booleans(),
        "help": texts,
    },
)


@given(st.dictionaries(names, st.tuples(st.sampled_from(["", "int", "float", "str"]), options), min_size=1, max_size=4))
def test_any_literal_option_is_read_as_argparse_has_it(tmp_path_factory, wanted):
    lines = ["import argparse", "def setup_parser():", "    p = argparse.ArgumentParser()"]
    for name, (kind, extra) in wanted.items():
        words = [repr("--" + name), *([f"type={kind}"] if kind else []), *(f"{k}={v!r}" for k, v in extra.items())]
        lines.append(f"    p.add_argument({', '.join(words)})")
    source = "\n".join([*lines, "    return p", ""])
    script = tmp_path_factory.mktemp("any") / "train.py"
    script.write_text(source, encoding="utf-8")
    space: dict[str, object] = {}
    exec(source, space)
    parser: argparse.ArgumentParser = space["setup_parser"]()  # type: ignore[operator]
    real = [
        [a.dest, a.type.__name__ if a.type else "str", a.default, a.choices, a.nargs, a.required, a.help or ""]
        for a in parser._actions[1:]
    ]
    assert as_read(accepted(script)) == real
