"""One `add_argument` call of a parser's source as an `Argument`.

Covers: names, actions, types (of a function: what all its returns are), choices, defaults. A type or choices that must
be computed make the argument `dynamic`. Not: where the call stands (`parser_walk`).
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from .argument import Argument
from .python_source import BUILTINS, UNKNOWN, Function, Modules, Scope, is_known

TYPES = {**{name: name for name in BUILTINS}, "loads": "json"}
TYPES |= dict.fromkeys(("Path", "abspath", "expanduser", "realpath"), "str")
FLAGS = {"store_true": False, "store_false": True, "BooleanOptionalAction": None}
"""Actions of switches, with their default."""
ACTIONS = {"store", "append", "extend", "count", *FLAGS}


def argument_of(
    node: ast.Call, args: Sequence[object], kwargs: Mapping[str, object], scope: Scope, modules: Modules
) -> Argument | None:
    """`args`, `kwargs`: what is known of the call's. None for --help and the like, for positional arguments, and for
    names that are short or cannot be read."""
    nodes = {part.arg: part.value for part in node.keywords if part.arg}
    long = [text for text in args if isinstance(text, str) and text.startswith("--") and len(text) > 2]
    name = kwargs.get("dest") or (long[0].lstrip("-").replace("-", "_") if long else None)
    action = kwargs.get("action", "store")
    action = action if isinstance(action, str) else last_name(nodes["action"])
    if not isinstance(name, str) or not args or action in ("help", "version") or not str(args[0]).startswith("-"):
        return None
    kind, dynamic = _type_of(nodes.get("type"), scope, modules)
    choices, nargs = kwargs.get("choices"), kwargs.get("nargs")
    if action in FLAGS or action == "count":
        kind, dynamic = "int" if action == "count" else "bool", False
    if choices is not None and not (isinstance(choices, (tuple, dict, str)) and is_known(choices)):
        choices, dynamic = None, True
    unread = nargs is UNKNOWN or len(nodes) < len(node.keywords)  # the second: **more
    if unread or action not in ACTIONS or (action == "append" and nargs is not None):
        kind, nargs, choices, dynamic = "any", None, None, True
    return Argument(
        name=name,
        type=kind,
        default=known_default(kwargs["default"]) if "default" in kwargs else FLAGS.get(action),
        choices=tuple(choices) if isinstance(choices, (tuple, dict, str)) else None,
        nargs=nargs if isinstance(nargs, (str, int)) else None,
        action=action,
        help=text.replace("%%", "%") if isinstance(text := kwargs.get("help"), str) else "",
        required=kwargs.get("required") is True,
        dynamic=dynamic,
    )


def _type_of(node: ast.expr | None, scope: Scope, modules: Modules) -> tuple[str, bool]:
    """`type=` as a word, and whether it could not be read."""
    if node is None or (isinstance(node, ast.Constant) and node.value is None):
        return "str", False
    name = last_name(node)
    if name in TYPES:
        return TYPES[name], False
    found = modules.value(node, scope)
    if isinstance(found, type):
        return found.__name__, False
    results: list[ast.expr | None] = [node.body] if isinstance(node, ast.Lambda) else []
    if isinstance(found, Function):
        results += [part.value for part in ast.walk(found.node) if isinstance(part, ast.Return)]
    kinds = {kind for result in results for kind in _kinds(result)}
    if kinds == {"int", "float"}:
        return "number", False
    return (kinds.pop(), False) if len(kinds) == 1 and "" not in kinds else (name or "any", True)


def _kinds(node: ast.expr | None) -> set[str]:
    """The types that an expression of a type function can have; "" when that cannot be known."""
    if isinstance(node, ast.IfExp):
        return _kinds(node.body) | _kinds(node.orelse)
    if isinstance(node, ast.BinOp):
        return {"float"} if isinstance(node.op, ast.Div) else _kinds(node.left)
    if isinstance(node, (ast.Compare, ast.BoolOp)) or (isinstance(node, ast.Constant) and isinstance(node.value, bool)):
        return {"bool"}
    return {TYPES.get(last_name(node.func), "")} if isinstance(node, ast.Call) else {""}


def known_default(value: object) -> object:
    return value if isinstance(value, (str, int, float, tuple)) and is_known(value) else None


def last_name(node: ast.expr | None) -> str:
    """`c` of `a.b.c`; "" where there is no name."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
