"""`python -m automate_train` and the console command: one door, and `--version` without further imports."""

from __future__ import annotations

import sys


def main() -> int:
    if sys.argv[1:] in (["--version"], ["-V"]):
        from . import __version__

        print(f"automate-train {__version__}")
        return 0
    from .cli import main as cli

    return cli(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
