"""`python -m automate_train` and the console command: one door, and `--version` without further imports."""

from __future__ import annotations

import sys


def main() -> int:
    try:
        if sys.argv[1:] in (["--version"], ["-V"]):
            from . import __version__

            print(f"automate-train {__version__}", flush=True)
            return 0
        from .cli.main import main as cli

        return cli(sys.argv[1:])
    except KeyboardInterrupt:  # before the command line's own handling
        return 130
    except OSError as error:  # --version into a full disk
        return 2 if error.errno else 0


if __name__ == "__main__":
    sys.exit(main())
