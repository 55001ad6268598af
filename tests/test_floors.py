"""The floors of the house: imports point down, an outside library has one room, what a room alone knows stays there.

Read from the source of every module, by `ast`: nothing is imported. There is no list of exceptions: what fails here is
in the wrong room.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "automate_train"

FLOORS = (
    {"__init__", "hook", "trainers/tiny"},
    {"records", "errors"},
    {"config", "machine", "store", "same_picture"},
    {"sweep", "trainers", "executors", "sampling/servers"},
    {"preflight", "training", "sampling", "judging"},
    {"report", "display"},
    {"pipeline"},
    {"cli"},
    {"__main__"},
)
"""Bottom to top. Rooms of one floor do not see each other; a package is one room."""
ALONE = {"hook", "trainers/tiny"}
"""They run in another process, by another Python: they import nothing of ours."""

OWNERS = {"pynvml": {"machine"}, "sqlite3": {"store"}, "requests": {"sampling/servers"},
          "argparse": {"cli", "trainers/tiny"}}  # fmt: skip
"""An outside library -> the rooms that may import it."""
WORDS = {
    r"/proc\b|\bkillpg\b|\bpidfd\w*|\bwaitpid\b": {"executors", "machine", "hook"},
    r"""(?i)^\w{0,2}['"]*(select .+ from|insert .*into|delete from|update \w+ set|create table|pragma) """: {"store"},
    r"<lora:|\btxt2img\b|\bLora hashes\b|\bsd_model_checkpoint\b": {"sampling/servers"},
}
"""What only some rooms may mention in code; comments and docstrings may."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return room_of_parts(path.relative_to(PACKAGE).with_suffix("").parts)


def room_of_parts(parts: tuple[str, ...]) -> str:
    """`parts`: of a module's name below the package."""
    two = "/".join(parts[:2])
    return two if any(two in floor for floor in FLOORS) else parts[0]


def floor_of(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def module_named(parts: tuple[str, ...]) -> Path | None:
    for path in (
        PACKAGE.joinpath(*parts).with_suffix(".py") if parts else None,
        PACKAGE.joinpath(*parts, "__init__.py"),
    ):
        if path is not None and path.is_file():
            return path
    return None


def imports(path: Path) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(line, name below the package) of every import of a module of ours, wherever in the file it is written."""
    package = path.relative_to(PACKAGE).parts[:-1]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
            yield from ((node.lineno, name[1:]) for name in names if name[0] == PACKAGE.name and len(name) > 1)
        elif isinstance(node, ast.ImportFrom):
            module = tuple(node.module.split(".")) if node.module else ()
            if node.level:
                base = (*package[: len(package) - node.level + 1], *module)
            elif module[:1] == (PACKAGE.name,):
                base = module[1:]
            else:
                continue
            for alias in node.names:
                inner = (*base, alias.name)
                yield node.lineno, inner if module_named(inner) else base


def test_every_room_has_a_floor():
    rooms = {room_of(path) for path in MODULES}
    assert rooms - set().union(*FLOORS) == set(), "a new room needs a place in FLOORS"


def test_every_arrow_points_down():
    up = []
    for path in MODULES:
        room = room_of(path)
        for line, name in imports(path):
            other = room_of_parts(name) if name else "__init__"
            if other != room and floor_of(other) >= floor_of(room):
                where = f"{path.relative_to(PACKAGE.parent)}:{line}"
                up.append(f"{where}: {room} (floor {floor_of(room)}) imports {other} (floor {floor_of(other)})")
    assert not up, "\n".join(up)


def test_hook_and_tiny_stand_alone():
    rooms = {path: room_of(path) for path in MODULES}
    assert [(path, name) for path in MODULES if rooms[path] in ALONE for _, name in imports(path)
            if room_of_parts(name) != rooms[path]] == []  # fmt: skip


def test_modules_import_each_other_in_no_circle():
    graph = {path: {module_named(name) for _, name in imports(path)} - {None, path} for path in MODULES}
    done: set[Path] = set()
    circles: list[list[str]] = []

    def visit(path: Path, trail: list[Path]) -> None:
        if path in trail:
            circles.append([str(each.relative_to(PACKAGE)) for each in [*trail[trail.index(path) :], path]])
        elif path not in done:
            for other in sorted(graph[path]):
                visit(other, [*trail, path])
            done.add(path)

    for path in MODULES:
        visit(path, [])
    assert not circles, circles


def outside_imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, library) of every import, also by `importlib` or `__import__` and from inside a text that is a name."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in (
            "import_module",
            "__import__",
        ):
            words = [*node.args, *(word.value for word in node.keywords)]
            names = [word.value for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str)]
        yield from ((node.lineno, name.split(".")[0]) for name in names)


@pytest.mark.parametrize("library", OWNERS)
def test_an_outside_library_has_one_room(library: str):
    others = [path for path in MODULES if room_of(path) not in OWNERS[library]]
    found = [f"{path.relative_to(PACKAGE.parent)}:{line}" for path in others
             for line, name in outside_imports(tree_of(path)) if name == library]  # fmt: skip
    assert not found, "\n".join(found)
    assert any(name == library for path in MODULES for _, name in outside_imports(tree_of(path))), "nobody imports it"


@pytest.mark.parametrize(
    "source",
    [
        "import sqlite3", "def f():\n from sqlite3 import connect", "__import__('sqlite3')",
        "import importlib; importlib.import_module('sqlite3')",
        "from importlib import import_module; import_module(name='sqlite3')",
    ],
)  # fmt: skip
def test_every_way_to_import_a_library_is_seen(source: str):
    assert "sqlite3" in {name for _, name in outside_imports(ast.parse(source))}


def test_a_module_is_imported_by_a_computed_name_only_where_modules_are_found_by_name():
    """Ours, and in the trainer's own process the trainer's. Of others nothing could be read from the source."""
    found = set()
    for path in MODULES:
        for node in ast.walk(tree_of(path)):
            name = ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
            if name in ("import_module", "__import__") and not isinstance((*node.args, None)[0], ast.Constant):
                found.add(str(path.relative_to(PACKAGE)))
    assert found <= {
        "trainers/__init__.py",
        "executors/__init__.py",
        "cli/main.py",
        "trainers/sd_scripts/measure_model.py",
    }


@pytest.mark.parametrize("words", WORDS)
def test_a_word_stays_in_its_rooms(words: str):
    found = []
    for path in MODULES:
        if room_of(path) not in WORDS[words]:
            where = path.relative_to(PACKAGE.parent)
            found += [f"{where}:{line}: {text}" for line, text in code(path) if re.search(words, text)]
    assert not found, "\n".join(found)


def code(path: Path) -> Iterator[tuple[int, str]]:
    """(line, token) of a module, without comments and docstrings."""
    docstrings = {
        node.value.lineno
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type != tokenize.COMMENT and not (token.type == tokenize.STRING and token.start[0] in docstrings):
            yield token.start[0], token.string


def test_the_checks_see_what_they_should(tmp_path: Path):
    """None of them passes because it looks at nothing."""
    assert len(MODULES) > 100 and sum(1 for path in MODULES for _ in imports(path)) > 300
    assert room_of(PACKAGE / "sampling/servers/webui/http.py") == "sampling/servers"
    assert room_of(PACKAGE / "sampling/session.py") == "sampling" and room_of(PACKAGE / "pipeline.py") == "pipeline"
    assert ("errors",) in {name for _, name in imports(PACKAGE / "config/layers.py")}
    texts = [text for path in (PACKAGE / "store").glob("*.py") for _, text in code(path)]
    assert "sqlite3" in texts and all(
        any(re.search(words, text) for text in texts) for words in WORDS if "pragma" in words
    )
