"""The walk behind `arguments.accepted`: from a script's source to the options of the argparse parser that it builds.

Covers: what scripts of this family do around a parser: `setup_parser`, functions and methods that get the parser,
groups, parents, literal conditions (`support_dreambooth=False`) and loops, defaults, constants of other modules.
Not: where names lead (`python_source`), code outside the script's folder, values that must be computed (such a type or
such choices make the argument `dynamic`; an option whose very name is computed stays unseen).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import UserError
from .arguments import Argument
from .python_source import BUILTINS, UNKNOWN, Function, Module, Modules, Scope, imports, is_known

MAX_STEPS = 50_000  # upstream's largest script takes under 1000
MAX_ITEMS = 10_000
LEADS_TO_PARSER = re.compile(r"pars|arg|opt", re.IGNORECASE)
"""Functions that are followed without being handed a parser: setup_parser, get_args, make_options."""
BUILDS = {"ArgumentParser", "parse_args", "parse_known_args"}
TYPES = {**{name: name for name in BUILTINS}, "loads": "json"}
TYPES |= dict.fromkeys(("Path", "abspath", "expanduser", "realpath"), "str")
FLAGS = {"store_true": False, "store_false": True, "BooleanOptionalAction": None}
PLAIN = {"store", "append", "extend", "count", *FLAGS}


class Parser:
    """An argparse parser, its groups included."""

    def __init__(self) -> None:
        self.arguments: dict[str, Argument] = {}
        self.used = False


def read(script: Path) -> tuple[dict[str, Argument], list[Path]]:
    """The script's arguments in the source's order, and the files that were read; `UserError` when there are none."""
    source = str(script)
    try:
        walk = _Walk(script.resolve().parent)  # where Python looks first, also when the script is a link
        module = walk.modules.load(script, ("__main__",))
        arguments = walk.from_setup(module) or walk.from_anywhere(module)
    except RecursionError:
        raise UserError("is nested too deeply to be read", source=source) from None
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, NUL, a circle of links
        raise UserError(f"cannot be read: {error}", source=source) from None
    if not arguments and walk.modules.circle:
        path, name = walk.modules.circle
        raise UserError(f"{path.name} and a module that it imports take {name} from each other", source=source)
    if not arguments:
        hint = "it must be a script that is started from the command line, like train_network.py"
        raise UserError("builds no argparse parser whose options can be read", source=source, hint=hint)
    return arguments, walk.modules.forget()


class _Walk:
    def __init__(self, root: Path) -> None:
        self.modules = Modules(root, self.call)
        self.parsers: list[Parser] = []
        self.active: set[int] = set()
        self.steps = 0

    def from_setup(self, module: Module) -> dict[str, Argument]:
        setup = self.modules.lookup(module, "setup_parser")
        made = self.run(setup, [], {}) if isinstance(setup, Function) else UNKNOWN
        return made.arguments if isinstance(made, Parser) else {}

    def from_anywhere(self, module: Module) -> dict[str, Argument]:
        """All that the script's own code builds; where some of it is asked to parse_args, only that."""
        self.parsers.clear()
        module.values["__name__"] = "__main__"
        self.block(module.body, Scope(module, module.values), [])
        for node in module.names.values():
            if isinstance(node, ast.FunctionDef) and _mentions(node, BUILDS):
                self.run(Function(module, node, {}), [], {})
        wanted = [parser for parser in self.parsers if parser.used] or self.parsers
        return {name: argument for parser in wanted for name, argument in parser.arguments.items()}

    def run(self, function: Function, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Walk a function with what is known of its arguments; the parser that it returns, or UNKNOWN."""
        module, node, outer = function.module, function.node, function.outer
        if id(node) in self.active:
            return UNKNOWN
        spec = node.args
        names = [parameter.arg for parameter in (*spec.posonlyargs, *spec.args)]
        if names[:1] in (["self"], ["cls"]) and len(args) < len(names):
            args = [UNKNOWN, *args]
        last = names[len(names) - len(spec.defaults) :]
        defaults: dict[str, ast.expr] = dict(zip(last, spec.defaults, strict=True))
        keywords = [parameter.arg for parameter in spec.kwonlyargs]
        defaults.update((name, value) for name, value in zip(keywords, spec.kw_defaults, strict=True) if value)
        env = {**outer, **dict.fromkeys([*names, *keywords], UNKNOWN)}
        env.update((name, self.modules.value(value, Scope(module, outer))) for name, value in defaults.items())
        env.update(zip(names, args, strict=False))
        env.update((name, value) for name, value in kwargs.items() if name in (*names, *keywords))
        returned: list[Any] = []
        self.active.add(id(node))
        try:
            self.block(node.body, Scope(module, env), returned)
        finally:
            self.active.discard(id(node))
        return next((value for value in returned if isinstance(value, Parser)), UNKNOWN)

    def block(self, body: Sequence[ast.stmt], scope: Scope, returned: list[Any]) -> bool:
        """Walk statements in order, both ways where a condition is unknown; True when the function ended in them."""
        module, names = scope
        for node in body:
            self.steps += 1
            if self.steps > MAX_STEPS:
                raise UserError("is too tangled to be read", source=str(module.path))
            if isinstance(node, ast.Return):
                returned.append(self.modules.value(node.value, scope) if node.value else None)
                return True
            if isinstance(node, (ast.Raise, ast.Continue, ast.Break)):
                return True
            if isinstance(node, ast.If):
                known = self.modules.value(node.test, scope)
                branches = [node.body, node.orelse] if known is UNKNOWN else [node.body if known else node.orelse]
                ended = [self.block(branch, scope, returned) for branch in branches]
                if all(ended):
                    return True
            elif isinstance(node, ast.For):
                items = self.modules.value(node.iter, scope)
                for item in items if isinstance(items, (tuple, dict, str)) else [UNKNOWN]:
                    _bind(node.target, item, names)
                    self.block(node.body, scope, returned)
            elif isinstance(node, (ast.With, ast.Try)):
                if self.block(node.body, scope, returned):
                    return True
            elif isinstance(node, ast.Expr):
                self.modules.value(node.value, scope)
            elif isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value:
                value = self.modules.value(node.value, scope)
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    _bind(target, value, names)
            elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                before = ast.Name(node.target.id, ast.Load())
                names[node.target.id] = self.modules.value(ast.BinOp(before, node.op, node.value), scope)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                names[node.name] = Function(module, node, {} if names is module.values else names)
            elif isinstance(node, (ast.Import, ast.ImportFrom)) and names is not module.values:
                names.update(imports(node))
        return False

    def call(self, node: ast.Call, scope: Scope) -> Any:
        """What a call gives, and what it does to the parsers that it is handed."""
        name = _last_name(node.func)
        args: list[Any] = []
        for part in node.args:
            value = self.modules.value(part.value if isinstance(part, ast.Starred) else part, scope)
            args += value if isinstance(part, ast.Starred) and isinstance(value, tuple) else [value]
        kwargs = {part.arg: self.modules.value(part.value, scope) for part in node.keywords if part.arg}
        if name.endswith("ArgumentParser"):
            return self.build(kwargs.get("parents"))
        owner = self.modules.value(node.func.value, scope) if isinstance(node.func, ast.Attribute) else None
        if isinstance(owner, Parser):
            return self.ask(owner, node, args, kwargs, scope)
        if isinstance(owner, dict):
            return tuple(owner) if name == "keys" else UNKNOWN
        if name in ("list", "tuple", "sorted") and len(args) == 1 and isinstance(args[0], (tuple, dict)):
            items = tuple(args[0])
            return tuple(sorted(items)) if name == "sorted" and len(set(map(type, items))) == 1 else items
        if name == "range" and args and all(isinstance(arg, int) and abs(arg) < MAX_ITEMS for arg in args):
            return tuple(range(*args))
        handed = any(isinstance(value, Parser) for value in (*args, *kwargs.values()))
        if not (handed or LEADS_TO_PARSER.search(name) or isinstance(scope.names.get(name), Function)):
            return UNKNOWN
        callee = self.modules.value(node.func, scope)
        if (
            callee is UNKNOWN and owner is UNKNOWN
        ):  # self.x(parser), trainer.x(parser): a method of a class of this file
            classes = [part for part in scope.module.body if isinstance(part, ast.ClassDef)]
            found = (self.modules.members(scope.module, part).values.get(name) for part in classes)
            callee = next((function for function in found if function), UNKNOWN)
        return self.run(callee, args, kwargs) if isinstance(callee, Function) else UNKNOWN

    def build(self, parents: Any) -> Parser:
        parser = Parser()
        for parent in parents if isinstance(parents, tuple) else ():
            parser.arguments.update(parent.arguments if isinstance(parent, Parser) else {})
        self.parsers.append(parser)
        return parser

    def ask(self, parser: Parser, node: ast.Call, args: list[Any], kwargs: dict[str, Any], scope: Scope) -> Any:
        """A method of the parser itself."""
        method = _last_name(node.func)
        if method in ("add_argument_group", "add_mutually_exclusive_group"):
            return parser
        if method in ("parse_args", "parse_known_args"):
            parser.used = True
        elif method == "set_defaults":
            for name in kwargs.keys() & parser.arguments.keys():
                parser.arguments[name] = replace(parser.arguments[name], default=_known(kwargs[name]))
        elif method == "add_argument" and (argument := self.argument(node, args, kwargs, scope)):
            known = parser.arguments.setdefault(argument.name, argument)
            # One name, two meanings (the branches of an unknown condition): either may hold.
            if (known.type, known.is_list) != (argument.type, argument.is_list):
                known = replace(known, type="any", nargs=None, choices=None, dynamic=True)
            elif known.choices != argument.choices:
                known = replace(known, choices=None, dynamic=True)
            parser.arguments[argument.name] = known
        return UNKNOWN

    def argument(self, node: ast.Call, args: list[Any], kwargs: dict[str, Any], scope: Scope) -> Argument | None:
        """What one add_argument call adds: None for --help and its like, positionals, short and unreadable names."""
        nodes = {part.arg: part.value for part in node.keywords if part.arg}
        long = [text for text in args if isinstance(text, str) and text.startswith("--") and len(text) > 2]
        name = kwargs.get("dest") or (long[0].lstrip("-").replace("-", "_") if long else None)
        action = kwargs.get("action", "store")
        action = action if isinstance(action, str) else _last_name(nodes["action"])
        if not isinstance(name, str) or not args or action in ("help", "version") or not str(args[0]).startswith("-"):
            return None
        kind, dynamic = self.type_of(nodes.get("type"), scope)
        choices, nargs = kwargs.get("choices"), kwargs.get("nargs")
        if action in FLAGS or action == "count":
            kind, dynamic = "int" if action == "count" else "bool", False
        if choices is not None and not (isinstance(choices, (tuple, dict, str)) and is_known(choices)):
            choices, dynamic = None, True
        unread = nargs is UNKNOWN or len(nodes) < len(node.keywords)  # the second: **more
        if unread or action not in PLAIN or (action == "append" and nargs is not None):
            kind, nargs, choices, dynamic = "any", None, None, True
        return Argument(
            name=name,
            type=kind,
            default=_known(kwargs["default"]) if "default" in kwargs else FLAGS.get(action),
            choices=tuple(choices) if choices is not None else None,
            nargs=nargs if isinstance(nargs, (str, int)) else None,
            action=action,
            help=text.replace("%%", "%") if isinstance(text := kwargs.get("help"), str) else "",
            required=kwargs.get("required") is True,
            dynamic=dynamic,
        )

    def type_of(self, node: ast.expr | None, scope: Scope) -> tuple[str, bool]:
        """`type=` as a word, and whether it could not be read. A function's type is what all its returns are."""
        if node is None or (isinstance(node, ast.Constant) and node.value is None):
            return "str", False
        name = _last_name(node)
        if name in TYPES:
            return TYPES[name], False
        found = self.modules.value(node, scope)
        if isinstance(found, type):
            return found.__name__, False
        returns = (
            [part for part in ast.walk(found.node) if isinstance(part, ast.Return)] if type(found) is Function else []
        )
        results = [node.body] if isinstance(node, ast.Lambda) else [part.value for part in returns]
        kinds = {kind for result in results for kind in _kinds(result)}
        if kinds == {"int", "float"}:
            return "number", False
        return (kinds.pop(), False) if len(kinds) == 1 and "" not in kinds else (name or "any", True)


def _kinds(node: ast.expr | None) -> set[str]:
    """The types that an expression of a type function can have; "" when that cannot be told."""
    if isinstance(node, ast.IfExp):
        return _kinds(node.body) | _kinds(node.orelse)
    if isinstance(node, ast.BinOp):
        return {"float"} if isinstance(node.op, ast.Div) else _kinds(node.left)
    if isinstance(node, (ast.Compare, ast.BoolOp)) or (isinstance(node, ast.Constant) and isinstance(node.value, bool)):
        return {"bool"}
    return {TYPES.get(_last_name(node.func), "")} if isinstance(node, ast.Call) else {""}


def _bind(target: ast.expr, value: Any, names: dict[str, Any]) -> None:
    if isinstance(target, ast.Name):
        names[target.id] = value
    elif isinstance(target, (ast.Tuple, ast.List)):
        known = isinstance(value, tuple) and len(value) == len(target.elts)
        for index, part in enumerate(target.elts):
            _bind(part, value[index] if known else UNKNOWN, names)


def _known(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, tuple)) and is_known(value) else None


def _last_name(node: ast.expr | None) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _mentions(node: ast.AST, names: set[str]) -> bool:
    return any(_last_name(part) in names for part in ast.walk(node) if isinstance(part, (ast.Name, ast.Attribute)))
