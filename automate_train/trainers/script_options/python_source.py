"""Python source as data: a script's own modules, what a name stands for, the value of a simple expression.

Covers: parsing with an error in a sentence, imports as Python resolves them for a started script (its own folder is
sys.path[0]), aliases, relative and star imports, classes (as modules inside modules), import circles, literals.
Not: running anything, installed packages, what a call returns (`parser_walk` passes that in as `call`).
"""

from __future__ import annotations

import ast
import platform
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import UserError

MAX_BYTES = 16 << 20
MAX_LETTERS = 10_000
"""Of a sum's parts: no choices are longer."""

BUILTINS = {"int": int, "float": float, "str": str, "bool": bool}
Call = Callable[[ast.Call, "Scope"], object]
"""What a call returns, as far as it is known."""


class Unknown:
    """What cannot be known without running the script."""

    def __bool__(self) -> bool:
        return False


UNKNOWN = Unknown()


@dataclass(frozen=True)
class Import:
    """`from module import name`, or the module itself when there is no name; `level` counts the leading dots."""

    module: tuple[str, ...]
    name: str
    level: int


@dataclass(frozen=True, eq=False)
class Function:
    module: Module
    node: ast.FunctionDef | ast.AsyncFunctionDef
    outer: dict[str, object]
    """The names of the enclosing function, which a nested function sees."""


@dataclass
class Module:
    path: Path
    dotted: tuple[str, ...]
    body: list[ast.stmt] = field(default_factory=list)
    names: dict[str, ast.AST | Import] = field(default_factory=dict)
    stars: list[Import] = field(default_factory=list)
    values: dict[str, object] = field(default_factory=dict)
    """Values of names that were looked up or, where the body was walked, set."""

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"


class Scope(NamedTuple):
    """Where an expression stands: its module, and the names that its function has set so far."""

    module: Module
    names: dict[str, object]


def parse(path: Path) -> list[ast.stmt]:
    """A Python file's statements; `UserError` with a sentence when it cannot be read."""
    try:
        if not path.is_file():
            raise UserError("is a folder, not a script" if path.is_dir() else "there is no such file", source=str(path))
        if path.stat().st_size > MAX_BYTES:
            raise UserError("is too big to be a Python script", source=str(path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about "\d" in a string that our user did not write
            return ast.parse(path.read_bytes()).body
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", source=str(path)) from None
    except SyntaxError as error:
        text = f"line {error.lineno or '?'} is not valid Python: {error.msg}"
        raise UserError(text, source=str(path), hint=f"read by Python {platform.python_version()}") from None
    except (ValueError, RecursionError, MemoryError) as error:  # NUL bytes, thousands of brackets
        raise UserError(f"is not valid Python: {error}", source=str(path)) from None


class Modules:
    """The modules that were needed so far, by path, and the values of their names."""

    def __init__(self, root: Path, call: Call) -> None:
        self.root = root
        self.call = call
        self.loaded: dict[Path, Module] = {}
        self.circle: tuple[Path, str] | None = None
        """A module and a name whose value leads back to it."""
        self._active: set[tuple[Path, str]] = set()

    def load(self, path: Path, dotted: tuple[str, ...]) -> Module:
        if path not in self.loaded:
            module = self.loaded[path] = Module(path, dotted, parse(path), values={"__name__": ".".join(dotted)})
            collect(module.body, module)
        return self.loaded[path]

    def forget(self) -> list[Path]:
        """Free the trees (upstream's take 15 MB, and refer to each other); returns the files that were read."""
        for module in self.loaded.values():
            for part in (module.body, module.names, module.values):
                part.clear()
        return list(self.loaded)

    def imported(self, module: Module, wanted: Import) -> object:
        dotted = wanted.module
        if wanted.level:  # each dot after the first climbs one package
            here = module.dotted if module.is_package else module.dotted[:-1]
            dotted = here[: len(here) - wanted.level + 1] + dotted
        found = self._find(dotted)
        return self.lookup(found, wanted.name) if found and wanted.name else found or UNKNOWN

    def lookup(self, module: Module, name: str) -> object:
        """What a name of a module stands for; remembered, so that a parser is found as the same object again."""
        key = (module.path, name)
        if name not in module.values:
            if key in self._active:
                self.circle = key
                return UNKNOWN
            self._active.add(key)
            try:
                found = self._resolve(module, name)
            finally:
                self._active.discard(key)
            module.values.setdefault(name, found)
        return module.values[name]

    def members(self, module: Module, node: ast.ClassDef) -> Module:
        inner = Module(module.path, module.dotted)
        collect(node.body, inner)
        for name, member in inner.names.items():
            if isinstance(member, (ast.FunctionDef, ast.AsyncFunctionDef)):
                inner.values[name] = Function(module, member, {})
        return inner

    def _find(self, dotted: tuple[str, ...]) -> Module | None:
        """A module in the script's folder; None for an installed package."""
        base = self.root.joinpath(*dotted)
        for path in (base / "__init__.py", base.with_name(base.name + ".py")):
            if dotted and path.is_file():
                return self.load(path, dotted)
        return Module(base / "__init__.py", dotted) if base.is_dir() else None

    def _resolve(self, module: Module, name: str) -> object:
        node = module.names.get(name)
        if isinstance(node, Import):
            return self.imported(module, node)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return Function(module, node, {})
        if isinstance(node, ast.ClassDef):
            return self.members(module, node)
        if isinstance(node, ast.expr):
            return self.value(node, Scope(module, {}))
        for star in module.stars:
            source = self.imported(module, star)
            if isinstance(source, Module) and (found := self.lookup(source, name)) is not UNKNOWN:
                return found
        return (module.is_package and self._find((*module.dotted, name))) or UNKNOWN

    def value(self, node: ast.expr, scope: Scope) -> object:
        """A constant, a tuple or dict of them, a Function, a Module, what `call` returns; else UNKNOWN."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            found = scope.names[node.id] if node.id in scope.names else self.lookup(scope.module, node.id)
            if isinstance(found, Import):
                return self.imported(scope.module, found)
            return BUILTINS.get(node.id, UNKNOWN) if found is UNKNOWN else found
        if isinstance(node, ast.Attribute):
            owner = self.value(node.value, scope)
            return self.lookup(owner, node.attr) if isinstance(owner, Module) else UNKNOWN
        if isinstance(node, ast.Call):
            return self.call(node, scope)
        if isinstance(node, ast.IfExp):
            known = self.value(node.test, scope)
            return UNKNOWN if known is UNKNOWN else self.value(node.body if known else node.orelse, scope)
        parts = [self.value(part, scope) for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)]
        if isinstance(node, ast.Dict):
            keys = parts[: len(node.keys)]
            return UNKNOWN if None in node.keys or not all(map(_hashable, keys)) else dict.fromkeys(keys, UNKNOWN)
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            return tuple(parts)
        if not all(map(is_known, parts)):
            return UNKNOWN
        try:
            return _combine(node, parts)
        except (TypeError, ValueError):
            return UNKNOWN


def collect(body: Sequence[ast.stmt], module: Module) -> None:
    """Note what each module-level name is bound to; of `try`/`except ImportError` and `if`/`else` the first branch
    counts."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            module.names[node.name] = node
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for name, wanted in imports(node):
                if name == "*":
                    module.stars.append(Import(wanted.module, "", wanted.level))
                else:
                    module.names[name] = wanted
        elif isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            module.names.update((target.id, node.value) for target in targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            before = module.names.get(node.target.id)
            if isinstance(before, ast.expr):
                module.names[node.target.id] = ast.BinOp(before, node.op, node.value)
        else:
            for handler in getattr(node, "handlers", []):
                collect(handler.body, module)
            for part in ("orelse", "body", "finalbody"):
                collect(getattr(node, part, []), module)


def imports(node: ast.Import | ast.ImportFrom) -> list[tuple[str, Import]]:
    """The names that an import statement binds, and to what."""
    if isinstance(node, ast.ImportFrom):
        module = tuple(node.module.split(".")) if node.module else ()
        return [(alias.asname or alias.name, Import(module, alias.name, node.level)) for alias in node.names]
    found = []
    for alias in node.names:
        dotted = tuple(alias.name.split("."))
        found.append((alias.asname or dotted[0], Import(dotted if alias.asname else dotted[:1], "", 0)))
    return found


def _combine(node: ast.expr, parts: list[Any]) -> object:
    """`a + b`, f-strings and simple conditions of known parts. `TypeError` as Python itself would raise it."""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(str, parts))
    if isinstance(node, ast.FormattedValue):
        return str(parts[0]) if node.format_spec is None and node.conversion == -1 else UNKNOWN
    if isinstance(node, ast.UnaryOp):
        return not parts[0] if isinstance(node.op, ast.Not) else -parts[0] if isinstance(node.op, ast.USub) else UNKNOWN
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return parts[0] + parts[1] if len(str(parts)) < MAX_LETTERS else UNKNOWN
    if isinstance(node, ast.BoolOp):
        return all(parts) if isinstance(node.op, ast.And) else any(parts)
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        left, right = parts
        if isinstance(node.ops[0], (ast.Eq, ast.Is)):
            return left == right
        if isinstance(node.ops[0], (ast.NotEq, ast.IsNot)):
            return left != right
        if isinstance(node.ops[0], (ast.In, ast.NotIn)):
            return (left in right) == isinstance(node.ops[0], ast.In)
    return UNKNOWN


def is_known(value: object) -> bool:
    """Whether nothing in it is UNKNOWN: a tuple may hold parts that are."""
    return all(map(is_known, value)) if isinstance(value, tuple) else value is not UNKNOWN


def _hashable(value: object) -> bool:
    return isinstance(value, (str, int, float))
