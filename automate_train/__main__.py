"""`python -m automate_train`, and where the console command begins."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and not getattr(sys.flags, "safe_path", False):
    # -m puts the current folder first. Nothing that lies there is imported, but for this package in a checkout.
    first = sys.path.pop(0)
    if first == os.path.dirname(os.path.dirname(os.path.abspath(__file__))):
        sys.path.append(first)

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
