"""What is said of a key of the two config files: its name, type, limits, who reads it, what it means.

Covers: one row of the table, and the words for its types and readers. Not: the rows (`key_table`), sets of them
(`key_sets`).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Type = Literal["text", "texts", "int", "float", "bool", "numbers", "devices", "resolution", "range", "table", "groups",
               "amount", "any"]  # fmt: skip
Reader = Literal["sweep", "trainer", "launcher", "trackers", "sampling", "options", "dataset"]
"""Who reads a key: see `READERS`."""
Scope = Literal["run", "sweep", "expansion"]

READERS: dict[Reader, str] = {
    "sweep": "The sweep",
    "trainer": "Which program trains",
    "launcher": "How a run is started",
    "trackers": "Trackers",
    "sampling": "Sample pictures",
    "options": "Training options that automate-train translates or gives a default",
    "dataset": "The dataset",
}
TYPES: dict[Type, str] = {
    "text": "text",
    "texts": "list of texts",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "numbers": "number, or list of numbers",
    "devices": 'GPU numbers, like 0 or "1,2"',
    "resolution": "one or two whole numbers",
    "range": "two numbers",
    "table": "object",
    "groups": "list of lists of keys",
    "amount": "number, share below 1, or folder",
    "any": "number, or true or false",
}
"""What a value of each type is. Numbers and switches may be texts, as old files have them."""
MOST = 2**31


class Key(NamedTuple):
    name: str
    type: Type
    reader: Reader
    meaning: str
    """One sentence."""
    example: object
    default: object = None
    """Its value where nobody gives one; None: it is not set."""
    choices: tuple[str, ...] = ()
    """The only values; `"None"` among them says that null and "" mean something too."""
    range: tuple[int, int] | None = None
    """The smallest and the largest value."""
    scope: Scope = "run"
    """run: each run may have its own value, so KEY_list makes an axis. sweep: one value for all runs. expansion: it
    shapes the sweep, or nothing at all, and is not an option of a run."""
    alias: str = ""
    """Another name that means the same."""
    old_spelling: str = ""
    """A name that is accepted with a warning, because it means something else elsewhere."""
    becomes: str = ""
    """The options of the trainer that an old name is translated into, where the trainer does not know the name."""
    environment: str = ""
    """The variable that carries a secret to the process that needs it. Its value is never shown or written."""
    flag: bool = False
    """The command line has a flag of the same name."""

    @property
    def secret(self) -> bool:
        return bool(self.environment)

    @property
    def ours(self) -> bool:
        """It steers the sweep and never reaches the trainer."""
        return self.reader not in ("options", "dataset")

    @property
    def changes_model(self) -> bool:
        """Another value makes another model: it is part of a run's key."""
        return self.reader in ("trainer", "options", "dataset")
