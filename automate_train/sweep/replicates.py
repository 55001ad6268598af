"""`"replicates": 3`: each setting is trained with three seeds, the configured one and those that follow it.

Covers: reading the key, and the seeds as the list that makes an axis. Not: a `seed_list`, which is an axis like any
other (`axes`); what is told of replicates together (`settings`).
"""

from __future__ import annotations

from collections.abc import Mapping

from ..config.key_sets import BY_NAME
from ..config.values import unset, whole
from ..errors import UserError
from ..records import SEED, Setting

FIRST_SEED = 1
"""Where the configs give no seed."""
LARGEST_SEED = 2**32 - 1
"""numpy takes no other, and sd-scripts hands it every seed."""


def seed_list(settings: Mapping[str, Setting]) -> Setting | None:
    """The seeds of all replicates; None where each setting is trained once. `UserError` for a number, or a first seed,
    that cannot be. The first seed stays as it was written, so that what it has trained is not trained again."""
    given = settings.get("replicates")
    if given is None or unset(given.value):
        return None
    count, allowed = whole(given.value), BY_NAME["replicates"].range
    assert allowed is not None
    if count is None or not allowed[0] <= count <= allowed[1]:
        text = f"must be a whole number from {allowed[0]} to {allowed[1]}, not {given.value!r:.40}"
        raise UserError(text, source=str(given.source), key="replicates", hint="3 shows how much a seed changes")
    if (listed := settings.get(f"{SEED}_list")) is not None:
        text = (
            f"cannot stand beside the seed_list of {listed.source}: both say which seeds each setting is trained with"
        )
        raise UserError(text, source=str(given.source), key="replicates", hint="take one of them out")
    if count == 1:
        return None
    seed = settings.get(SEED)
    written = FIRST_SEED if seed is None or unset(seed.value) else seed.value
    first = whole(written)
    if first is None or not 0 <= first <= LARGEST_SEED + 1 - count:
        source = str(seed.source if seed else given.source)
        text = (
            f"must be a whole number from 0 to {LARGEST_SEED + 1 - count} with {count} replicates, not {written!r:.40}"
        )
        raise UserError(text, source=source, key=SEED, hint=f"for example {FIRST_SEED}")
    return Setting([written, *range(first + 1, first + count)], given.source, SEED)
