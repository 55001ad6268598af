"""An import may only point down. Reads every import of the package and says in a sentence which arrow points up."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "automate_train"

FLOORS = {
    0: ["hook", "tiny", "__init__"],
    1: [
        "errors",
        "keys",
        "config",
        "jsonc",
        "axes",
        "sweep",
        "exclude",
        "prompts",
        "prompt_fields",
        "prompt_images",
        "payloads",
        "launch",
        "placement",
        "progress",
        "reasons",
        "flags",
    ],
    2: [
        "folder",
        "gpus",
        "journal",
        "journal_check",
        "journal_schema",
        "sample_journal",
        "lock",
        "points",
        "settle",
        "webui",
        "trainers",
        "executors",
    ],
    3: ["active", "beside", "job", "leaving", "machine", "scheduler", "recovery", "preflight", "rebuild", "sampler"],
    4: ["live", "status", "plan", "pages", "report", "summary"],
    5: ["commands", "control", "watch", "work"],
    6: ["cli", "__main__"],
}
SEEN_ON_THEIR_FLOOR = {
    "trainers": {"folder", "trainers", "gpus"},
    "executors": {"folder"},
    "journal": {"journal_check", "journal_schema"},
    "sample_journal": {"journal"},
    "recovery": {"active", "scheduler"},
    "job": {"active"},
    "leaving": {"active", "job"},
    "scheduler": {"active", "job", "leaving"},
    "preflight": {"sampler"},
    "report": {"status"},
    "pages": {"report"},
    "summary": {"live", "status"},
    "axes": {"config", "keys", "errors"},
    "sweep": {"axes", "config", "keys", "errors", "exclude"},
    "prompts": {"prompt_fields"},
    "payloads": {"prompts", "prompt_fields", "prompt_images"},
    "commands": {"control", "watch"},
    "__main__": {"cli"},
}
"""Rooms on one floor do not see each other, but for these; everybody on floor 1 sees errors, keys, launch, config."""
COMMON = {"errors", "keys", "launch", "config", "jsonc"}


def rooms() -> dict[str, int]:
    return {room: floor for floor, names in FLOORS.items() for room in names}


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else path.stem


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, room) of every import from inside the package, absolute or relative."""
    depth = len(path.relative_to(PACKAGE.parent).parts) - 1
    package = list(path.relative_to(PACKAGE.parent).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[list[str]] = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: depth - node.level + 1] if node.level else []
            module = base + (node.module.split(".") if node.module else [])
            names = [[*module, alias.name] for alias in node.names] if len(module) == 1 else [module]
        for name in names:
            if name[0] == "automate_train" and len(name) > 1:
                yield node.lineno, name[1]  # type: ignore[attr-defined]


def arrows_up() -> Iterator[str]:
    floors = rooms()
    for path in sorted(PACKAGE.rglob("*.py")):
        room = room_of(path)
        for line, other in imported(path):
            if other in (room, "__version__") or other not in floors:
                continue
            allowed = SEEN_ON_THEIR_FLOOR.get(room, set()) | (COMMON if floors[room] == 1 else set())
            if floors[other] > floors[room] or (floors[other] == floors[room] and other not in allowed):
                where = f"{path.relative_to(PACKAGE.parent)}:{line}"
                up = f"imports {other} (floor {floors[other]})"
                yield f"{where} (floor {floors[room]}) {up}: the arrow must point down"


def test_every_room_has_a_floor():
    found = {room_of(path) for path in PACKAGE.rglob("*.py")}
    assert found <= rooms().keys(), "a new room needs a line in FLOORS"


def test_no_arrow_points_up():
    assert list(arrows_up()) == []


def test_the_hook_and_the_tiny_trainer_stand_alone():
    for part in ("hook", "tiny"):
        for path in (PACKAGE / part).glob("*.py"):
            assert [name for _, name in imported(path) if name != part] == [], path


def test_only_one_room_knows_nvml_sql_and_http():
    owners = {"pynvml": {"gpus"}, "sqlite3": {"journal", "journal_check"}, "requests": {"webui"}}
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    assert room_of(path) in owners.get(alias.name.split(".")[0], {room_of(path)}), (
                        f"{path}: {alias.name}"
                    )
