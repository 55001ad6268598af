"""Single shapes of argparse code: types, what must be computed, conditions, circles, scripts without setup_parser."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from automate_train.trainers.script_options.argument import Argument
from automate_train.trainers.script_options.reader import accepted


def read(tmp_path: Path, body: str, before: str = "") -> dict[str, Argument]:
    """What a setup_parser of these lines accepts."""
    lines = textwrap.indent(textwrap.dedent(body), "    ")
    begin = "def setup_parser():\n    p = argparse.ArgumentParser()\n"
    text = f"import argparse\n{textwrap.dedent(before)}\n{begin}{lines}\n    return p\n"
    (tmp_path / "train.py").write_text(text, encoding="utf-8")
    return accepted(tmp_path / "train.py")


@pytest.mark.parametrize(
    ("type_function", "wanted", "dynamic"),
    [
        ("def f(v):\n    return float(v) / 100 if v else int(v)", "number", False),
        ("def f(v):\n    return v.lower() in ('1', 'yes')", "bool", False),
        ("def f(v):\n    if v:\n        return True\n    return False", "bool", False),
        ("def f(v):\n    return int(v)", "int", False),
        ("def f(v):\n    x = 2\n    return x", "f", True),
        ("f = lambda v: int(v)", "f", True),
        ("from elsewhere import f", "f", True),
        ("import json; f = json.loads", "f", True),
        ("", "f", True),
    ],
)
def test_type_functions(tmp_path, type_function, wanted, dynamic):
    found = read(tmp_path, "p.add_argument('--x', type=f)", type_function)["x"]
    assert (found.type, found.dynamic) == (wanted, dynamic)


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("type=bool", "bool"),
        ("type=json.loads", "json"),
        ("type=pathlib.Path", "str"),
        ("type=os.path.abspath", "str"),
        ("type=lambda v: float(v)", "float"),
        ("type=None", "str"),
        ("action='count'", "int"),
    ],
)
def test_types(tmp_path, written, kind):
    found = read(tmp_path, f"p.add_argument('--x', {written})")["x"]
    assert (found.type, found.dynamic) == (kind, False)


@pytest.mark.parametrize(
    "written",
    [
        "choices=[m.value for m in Modes]",
        "choices=available()",
        "choices=A if version() > 2 else B",
        "choices=UNDEFINED",
        "choices=LOOP",
        "choices=list(TORCH.keys())",
        "nargs=COUNT",
        "action=OwnAction",
        "action='store_const', const=3",
        "**more",
    ],
)
def test_what_must_be_computed_is_dynamic(tmp_path, written):
    before = "A, B = ['a'], ['b']\nLOOP = LOOP + ['a']\nfrom torch import TORCH, COUNT"
    found = read(tmp_path, f"p.add_argument('--x', {written})", before)["x"]
    assert found.dynamic
    assert found.choices is None


def test_both_branches_of_an_unknown_condition_count(tmp_path):
    body = """
        if version() > 2:
            p.add_argument("--new", choices=["a"])
            p.add_argument("--both", choices=["a"])
            p.add_argument("--kind", type=int)
        else:
            p.add_argument("--old")
            p.add_argument("--both", choices=["b"])
            p.add_argument("--kind", type=float)
        try:
            p.add_argument("--tried")
        except ImportError:
            pass
        with open("x"):
            p.add_argument("--within")
        """
    found = read(tmp_path, body)
    assert list(found) == ["new", "both", "kind", "old", "tried", "within"]
    assert (found["both"].choices, found["both"].dynamic) == (None, True)
    assert (found["kind"].type, found["kind"].dynamic) == ("any", True)
    assert found["new"].choices == ("a",)


def test_two_options_with_one_name_are_one_key(tmp_path):
    found = read(
        tmp_path, "p.add_argument('--x', action='store_true')\np.add_argument('--no_x', dest='x', action='store_false')"
    )
    assert [(a.name, a.type, a.default) for a in found.values()] == [("x", "bool", False)]


def test_parents_and_other_parsers(tmp_path):
    body = """
        common = argparse.ArgumentParser(add_help=False)
        common.add_argument("--common")
        other = argparse.ArgumentParser()
        other.add_argument("--other")
        p = argparse.ArgumentParser(parents=[common])
        p.add_argument("--own")
        """
    assert list(read(tmp_path, body)) == ["common", "own"]


@pytest.mark.parametrize(
    "script",
    [
        "parser = argparse.ArgumentParser()\nparser.add_argument('--x')\nargs = parser.parse_args()",
        "if __name__ == '__main__':\n    parser = argparse.ArgumentParser()\n    parser.add_argument('--x')",
        "def main():\n    p = argparse.ArgumentParser()\n    p.add_argument('--x')\n    train(p.parse_args())\nmain()",
        "def get_args(p):\n    p.add_argument('--x')\ndef main():\n    p = argparse.ArgumentParser()\n    get_args(p)",
        "def make_parser():\n    p = argparse.ArgumentParser()\n    p.add_argument('--x')\n    return p\n"
        "def setup_parser(p):\n    return p\n"
        "if __name__ == '__main__':\n    p = setup_parser(make_parser())\n    p.parse_args()",
        "used, unused = None, None\nunused = argparse.ArgumentParser()\nunused.add_argument('--y')\n"
        "used = argparse.ArgumentParser()\nused.add_argument('--x')\nused.parse_known_args()",
    ],
)
def test_scripts_without_setup_parser(tmp_path, script):
    (tmp_path / "train.py").write_text("import argparse\n" + script, encoding="utf-8")
    assert list(accepted(tmp_path / "train.py")) == ["x"]


def test_functions_that_call_each_other_end(tmp_path):
    before = "def a(p):\n    p.add_argument('--a')\n    b(p)\n    b(p)\ndef b(p):\n    a(p)\n    a(p)"
    assert list(read(tmp_path, "a(p)\nwhile True:\n    a(p)", before)) == ["a"]
    doubling = "\n".join(f"def f{i}(p):\n    f{i + 1}(p)\n    f{i + 1}(p)" for i in range(40))
    with pytest.raises(Exception, match="too complex"):
        read(tmp_path, "f0(p)", doubling + "\ndef f40(p):\n    p.add_argument('--a')")
    words = "X0 = ['a']\n" + "\n".join(f"X{i + 1} = X{i} + X{i}" for i in range(60))
    assert read(tmp_path, "p.add_argument('--x', choices=X60)", words)["x"].dynamic


def test_a_script_is_never_executed(tmp_path):
    mark = tmp_path / "mark"
    spoil = f"open({str(mark)!r}, 'w')"
    found = read(
        tmp_path, f"p.add_argument('--x', choices=[{spoil}], default={spoil})", f"{spoil}\nimport nothing_here"
    )
    assert found["x"].dynamic
    assert not mark.exists()
    assert not list(tmp_path.rglob("*.pyc"))


def test_other_encodings(tmp_path):
    text = "# -*- coding: euc-kr -*-\nimport argparse\ndef setup_parser():\n    p = argparse.ArgumentParser()\n"
    text += "    p.add_argument('--x', help='학습')\n    return p\n"
    (tmp_path / "train.py").write_bytes(text.encode("euc-kr"))
    assert accepted(tmp_path / "train.py")["x"].help == "학습"
    (tmp_path / "train.py").write_bytes(
        b"\xef\xbb\xbf" + text.replace("euc-kr", "utf-8").replace("--x", "--yy").encode()
    )
    assert accepted(tmp_path / "train.py")["yy"].help == "학습"


def test_names_in_one_text(tmp_path):
    found = read(tmp_path, "for name in ('a b ' 'c').split():\n    p.add_argument(f'--{name}', type=int)")
    assert [(name, argument.type) for name, argument in found.items()] == [("a", "int"), ("b", "int"), ("c", "int")]
