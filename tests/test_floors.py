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


@pytest.mark.parametrize("library", OWNERS)
def test_an_outside_library_has_one_room(library: str):
    found = []
    for path in MODULES:
        for node in ast.walk(tree_of(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            if any(name.split(".")[0] == library for name in names) and room_of(path) not in OWNERS[library]:
                found.append(f"{path.relative_to(PACKAGE.parent)}:{node.lineno}")
    assert not found, "\n".join(found)


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
    assert any("sqlite3" in text for path in (PACKAGE / "store").glob("*.py") for _, text in code(path))
