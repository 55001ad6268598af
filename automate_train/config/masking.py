"""Secrets in what is shown and written: `***` stands for each.

Covers: which values of a sweep are secret, and masking a text, an option, a command line, a config file's text. Values
are masked, however they are spelled; only where nothing could be parsed are they known by their keys alone. Not: which
keys are secret (`key_table`), how a secret reaches a process (`sampling_options`, `trainers.launch_parts`), console.log
and the other files that a trainer writes itself.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar
from urllib.parse import quote

from ..errors import Problem
from .key_sets import ALIASES, MASKED, SECRETS, WEBUI_SECRETS, canonical
from .logins import ADDRESSES, logins_in, without_logins

MASK = "***"
SHORTEST = 6
"""Characters of a secret that is looked for in every text: shorter ones are parts of many words, and are masked at
their keys alone."""
LOGIN = re.compile(r"""\b(\w{1,20}://)[^\s/?#@"',]+@""")
_NAMES = "|".join(sorted(map(re.escape, {*MASKED, *(old for old, new in ALIASES.items() if new in MASKED)})))
VALUE = re.compile(
    rf"""(?P<key>(?:{_NAMES})(?:_list)?["']?\s*[:=]\s*)"""
    r"""(?P<value>\[[^\]]*\]|"(?:[^"\\\n]|\\.)*"?|'[^'\n]*'?|[^\s,}#]+)"""
)
"""A secret's value in a config file's text, also in a comment or where the file is broken."""

Shown = TypeVar("Shown")


class Masker(NamedTuple):
    """Masks what it knows: see `masker_of`."""

    spellings: tuple[str, ...] = ()
    """The secrets, also as JSON, shells and addresses spell them; the longest first."""

    def text(self, text: str) -> str:
        for each in self.spellings:
            text = text.replace(each, MASK)
        return LOGIN.sub(rf"\1{MASK}@", text) if "://" in text else text

    def value(self, value: Shown) -> Shown:
        """A value of a config, an argument or JSON, with all texts inside it masked."""
        shown: object = value
        if isinstance(value, str):
            shown = self.text(value)
        elif isinstance(value, Mapping):
            shown = {key: self.value(part) for key, part in value.items()}
        elif isinstance(value, list):
            shown = [self.value(part) for part in value]
        elif isinstance(value, tuple):
            shown = tuple(self.value(part) for part in value)
        return shown  # type: ignore[return-value]

    def option(self, key: str, value: object) -> object:
        """An option's value: all of a secret is masked, however short it is."""
        return MASK if is_secret(key) and value not in (None, "") else self.value(value)

    def problem(self, problem: Problem) -> Problem:
        return problem._replace(message=self.text(problem.message), hint=self.text(problem.hint))

    def error(self, error: BaseException) -> None:
        """What an error says, and what it followed from, in place: a bug's traceback is kept in a file."""
        found: BaseException | None = error
        while found is not None:
            found.args = self.value(found.args)
            found = found.__cause__ or found.__context__

    def command(self, argv: Sequence[str]) -> tuple[str, ...]:
        """A command line; behind --set a secret is known by its key, too."""
        shown: list[str] = []
        for word in argv:
            behind = bool(shown) and shown[-1] in ("-set", "--set")
            flag = "" if behind else match[0] if (match := re.match("--?set=", word)) else None
            key, equals, value = word[len(flag or "") :].partition("=")
            if flag is not None and equals and is_secret(key.strip()):
                word = f"{flag}{key}={MASK}"
            elif flag is not None and canonical(key.strip()) in ADDRESSES:
                word = f"{flag}{key}={without_logins(value, f'{MASK}@')}"
            shown.append(self.text(word))
        return tuple(shown)


def masker_of(settings: Mapping[str, object], environment: Mapping[str, str] | None = None) -> Masker:
    """`settings`: key, as in `Run.options` or a config file -> value; `environment`: variables that may carry secrets,
    too."""
    variables = {*SECRETS.values(), *WEBUI_SECRETS.values()}
    hidden = [*secret_texts(settings), *(value for name, value in (environment or {}).items() if name in variables)]
    spellings = {each for text in hidden if len(text) >= SHORTEST for each in _spellings(text)}
    return Masker(tuple(sorted(spellings, key=len, reverse=True)))


def secret_texts(settings: Mapping[str, object]) -> Iterator[str]:
    """The texts of the values that are secret, as they are: the logins of addresses are among them."""
    yield from _texts([value for key, value in settings.items() if is_secret(key)])
    yield from logins_in([value for key, value in settings.items() if canonical(key) in ADDRESSES])


def is_secret(key: str) -> bool:
    return canonical(key).removesuffix("_list") in MASKED


def without_values_of_secrets(text: str) -> str:
    """A config file's text that may be broken: secrets are known by their keys, and all places in it stay."""
    return VALUE.sub(lambda match: match["key"] + "*" * len(match["value"]), text)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, (list, Mapping)):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(part)
    elif value is not None:
        yield str(value)


def _spellings(text: str) -> set[str]:
    in_json = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    return {text, *in_json, repr(text)[1:-1], shlex.quote(text), quote(text, safe=""), quote(text, safe=":")}
