"""`python -m automate_train.report DIR`, and `... grid DIR`, `... best DIR`: the same commands without the rest."""

from __future__ import annotations

import sys

from ..errors import UserError
from . import best_main, grid_main, main

COMMANDS = {"report": main, "grid": grid_main, "best": best_main}


def run(argv: list[str]) -> int:
    command = COMMANDS.get(argv[0]) if argv else None
    try:
        return command(argv[1:]) if command else main(argv)
    except UserError as error:
        print(f"automate-train: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
