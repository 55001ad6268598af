"""Expressions that drop points: `network_alpha > network_dim`.

Covers: checking an expression node by node and turning it into a function of the settings; nothing is ever `eval`-ed.
Allowed are keys, numbers, texts, true/false/null, comparisons, + - * / // %, and/or/not, in. Where values cannot be
compared (a missing one with a number) or computed, the expression does not apply to that point.
Not: calls, attributes, powers; which points there are (`product`).
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterable
from typing import Any

from ..config.key_sets import canonical
from ..errors import UserError, nearest

Get = Callable[[str], object]
"""Key -> its value at a point."""
Part = Callable[[Get], Any]
Operator = Callable[[Any, Any], Any]
MAX_LENGTH, MAX_NODES = 2000, 200
MAX_SIZE = 1000
"""Letters or elements of a value: with every limit reached, a point takes less than 10 ms."""
DOTTED = re.compile(r"\w+(\.\w+)*")
"""A key; one with dots looks like an attribute."""
CONSTANTS = {"true": True, "false": False, "null": None}
COMPARE: dict[type, Operator] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
}  # fmt: skip
ARITHMETIC: dict[type, Operator] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip


def compile_expression(text: str, keys: Iterable[str], source: str) -> tuple[Callable[[Get], bool], frozenset[str]]:
    """(function of a getter that says whether the point is dropped, the canonical keys that it looks at)."""
    known = set(keys)
    names: set[str] = set()

    def refuse(message: str, hint: str = "") -> UserError:
        return UserError(f"`{text[:200]}` {message}", source=source, key="exclude", hint=hint)

    example = 'for example "network_alpha > network_dim"'
    if len(text) > MAX_LENGTH:
        raise refuse(f"is longer than {MAX_LENGTH} letters", "write several expressions")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise refuse("is not a valid expression", example) from None
    if sum(1 for _ in ast.walk(tree)) > MAX_NODES:
        raise refuse(f"has more than {MAX_NODES} parts", "write several expressions")

    def build(node: ast.AST) -> Part:
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float, str, bool, type(None))):
            value = node.value
            return lambda get: value
        if isinstance(node, ast.Name) and node.id in CONSTANTS:
            constant = CONSTANTS[node.id]
            return lambda get: constant
        if isinstance(node, (ast.Name, ast.Attribute)) and DOTTED.fullmatch(name := ast.unparse(node)):
            key = canonical(name)
            if key not in known:
                raise refuse(f"names {name}, which this sweep does not set", nearest(name, sorted(known)))
            names.add(key)
            return lambda get: _small(get(key))
        if isinstance(node, ast.BoolOp):
            parts = [build(part) for part in node.values]
            both = isinstance(node.op, ast.And)
            return lambda get: (all if both else any)(part(get) for part in parts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
            inner = build(node.operand)
            return (lambda get: not inner(get)) if isinstance(node.op, ast.Not) else (lambda get: -inner(get))
        if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
            left, right, act = build(node.left), build(node.right), ARITHMETIC[type(node.op)]
            return lambda get: act(_number(left(get)), _number(right(get)))
        if isinstance(node, ast.Compare) and all(type(op) in COMPARE for op in node.ops):
            sides = [build(side) for side in (node.left, *node.comparators)]
            acts = [COMPARE[type(op)] for op in node.ops]
            return lambda get: all(act(a(get), b(get)) for act, a, b in zip(acts, sides, sides[1:], strict=False))
        if isinstance(node, (ast.List, ast.Tuple)):
            items = [build(item) for item in node.elts]
            return lambda get: [item(get) for item in items]
        allowed = "allowed: comparisons, arithmetic, and, or, not, in"
        raise refuse(f"uses {type(node).__name__}, which is not allowed", allowed)

    whole = build(tree)

    def applies(get: Get) -> bool:
        try:
            return bool(whole(get))
        except (TypeError, ZeroDivisionError, OverflowError, ValueError):
            return False

    return applies, frozenset(names)


def _small(value: object) -> object:
    """Only values that a person can read are compared: megabytes of text or lists would take long."""
    if isinstance(value, (str, list, tuple, dict)) and _size(value) > MAX_SIZE:
        raise TypeError
    return value


def _size(value: object) -> int:
    if isinstance(value, str):
        return len(value)
    if not isinstance(value, (list, tuple, dict)):
        return 1
    parts = [*value, *value.values()] if isinstance(value, dict) else value
    size = len(parts)
    for part in parts if size <= MAX_SIZE else ():
        size += _size(part)
        if size > MAX_SIZE:
            break
    return size


def _number(value: object) -> float:
    """Only numbers are computed with: text times a million would fill the memory."""
    if isinstance(value, (int, float)):
        return value
    raise TypeError
