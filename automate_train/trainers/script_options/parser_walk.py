"""Follow a script's code around an argparse parser, without running it, and collect the parser's arguments.

Covers: what scripts of sd-scripts' family do: `setup_parser`, functions and methods that are handed the parser, groups,
parents, literal conditions (`support_dreambooth=False`) and loops, defaults, constants of other modules.
Not: one `add_argument` call (`add_argument`), what a name stands for (`python_source`), code outside the script's
folder, names that must be computed (such an option stays unseen).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...errors import UserError
from .add_argument import argument_of, known_default, last_name
from .argument import Argument
from .python_source import UNKNOWN, Function, Module, Modules, Scope, imports

MAX_STEPS = 50_000
"""Statements; upstream's largest script takes under 1000."""
MAX_ITEMS = 10_000
LEADS_TO_PARSER = re.compile(r"pars|arg|opt", re.IGNORECASE)
"""Functions that are followed without being handed a parser: setup_parser, get_args, make_options."""
BUILDS = {"ArgumentParser", "parse_args", "parse_known_args"}


class Parser:
    """An argparse parser, its groups included."""

    def __init__(self) -> None:
        self.arguments: dict[str, Argument] = {}
        self.used = False
        """Whether the script calls parse_args on it."""


class ParserWalk:
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
        """The arguments of all parsers that the script's own code builds; where it calls parse_args, only of those."""
        self.parsers.clear()
        module.values["__name__"] = "__main__"
        self.block(module.body, Scope(module, module.values), [])
        for node in module.names.values():
            if isinstance(node, ast.FunctionDef) and _mentions(node, BUILDS):
                self.run(Function(module, node, {}), [], {})
        wanted = [parser for parser in self.parsers if parser.used] or self.parsers
        return {name: argument for parser in wanted for name, argument in parser.arguments.items()}

    def run(self, function: Function, args: Sequence[object], kwargs: dict[str, object]) -> object:
        """Walk a function with what is known of its arguments; returns the parser that it returns, or UNKNOWN."""
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
        returned: list[object] = []
        self.active.add(id(node))
        try:
            self.block(node.body, Scope(module, env), returned)
        finally:
            self.active.discard(id(node))
        return next((value for value in returned if isinstance(value, Parser)), UNKNOWN)

    def block(self, body: Sequence[ast.stmt], scope: Scope, returned: list[object]) -> bool:
        """Walk statements in order, both branches where a condition is unknown; True when the function ends in them."""
        module, names = scope
        for node in body:
            self.steps += 1
            if self.steps > MAX_STEPS:
                raise UserError("is too complex to be read", source=str(module.path))
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

    def call(self, node: ast.Call, scope: Scope) -> object:
        """What a call returns; what it does to the parsers that it is handed is done to them here."""
        name = last_name(node.func)
        args: list[object] = []
        for part in node.args:
            value = self.modules.value(part.value if isinstance(part, ast.Starred) else part, scope)
            args += value if isinstance(part, ast.Starred) and isinstance(value, tuple) else [value]
        kwargs = {part.arg: self.modules.value(part.value, scope) for part in node.keywords if part.arg}
        if name.endswith("ArgumentParser"):
            return self.build(kwargs.get("parents"))
        owner = self.modules.value(node.func.value, scope) if isinstance(node.func, ast.Attribute) else None
        if isinstance(owner, Parser):
            return self.parser_method(owner, node, args, kwargs, scope)
        if isinstance(owner, dict):
            return tuple(owner) if name == "keys" else UNKNOWN
        if isinstance(owner, str) and name == "split" and not args:
            return tuple(owner.split())
        if name in ("list", "tuple", "sorted") and len(args) == 1 and isinstance(args[0], (tuple, dict)):
            items = tuple(args[0])
            return tuple(sorted(items)) if name == "sorted" and len(set(map(type, items))) == 1 else items
        numbers = [arg for arg in args if isinstance(arg, int) and abs(arg) < MAX_ITEMS]
        if name == "range" and numbers and numbers == args:
            return tuple(range(*numbers))
        handed = any(isinstance(value, Parser) for value in (*args, *kwargs.values()))
        if not (handed or LEADS_TO_PARSER.search(name) or isinstance(scope.names.get(name), Function)):
            return UNKNOWN
        callee = self.modules.value(node.func, scope)
        if callee is UNKNOWN and owner is UNKNOWN:  # self.x(parser), trainer.x(parser): a class of this file
            classes = [part for part in scope.module.body if isinstance(part, ast.ClassDef)]
            found = (self.modules.members(scope.module, part).values.get(name) for part in classes)
            callee = next((function for function in found if function), UNKNOWN)
        return self.run(callee, args, kwargs) if isinstance(callee, Function) else UNKNOWN

    def build(self, parents: object) -> Parser:
        parser = Parser()
        for parent in parents if isinstance(parents, tuple) else ():
            parser.arguments.update(parent.arguments if isinstance(parent, Parser) else {})
        self.parsers.append(parser)
        return parser

    def parser_method(
        self, parser: Parser, node: ast.Call, args: list[object], kwargs: Mapping[str, object], scope: Scope
    ) -> object:
        method = last_name(node.func)
        if method in ("add_argument_group", "add_mutually_exclusive_group"):
            return parser
        if method in ("parse_args", "parse_known_args"):
            parser.used = True
        elif method == "set_defaults":
            for name in kwargs.keys() & parser.arguments.keys():
                parser.arguments[name] = parser.arguments[name]._replace(default=known_default(kwargs[name]))
        elif method == "add_argument" and (argument := argument_of(node, args, kwargs, scope, self.modules)):
            known = parser.arguments.setdefault(argument.name, argument)
            # One name, two meanings (the branches of an unknown condition): either may hold.
            if (known.type, known.is_list) != (argument.type, argument.is_list):
                known = known._replace(type="any", nargs=None, choices=None, dynamic=True)
            elif known.choices != argument.choices:
                known = known._replace(choices=None, dynamic=True)
            parser.arguments[argument.name] = known
        return UNKNOWN


def _bind(target: ast.expr, value: object, names: dict[str, object]) -> None:
    if isinstance(target, ast.Name):
        names[target.id] = value
    elif isinstance(target, (ast.Tuple, ast.List)):
        unknown = (UNKNOWN,) * len(target.elts)
        values = value if isinstance(value, tuple) and len(value) == len(unknown) else unknown
        for part, each in zip(target.elts, values, strict=True):
            _bind(part, each, names)


def _mentions(node: ast.AST, names: set[str]) -> bool:
    return any(last_name(part) in names for part in ast.walk(node) if isinstance(part, (ast.Name, ast.Attribute)))
