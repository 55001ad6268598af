"""`python -m automate_train.sampler DIR`: the command without the rest of automate-train.

Covers: errors and exit codes as `cli` has them. Not: anything else.
"""

from __future__ import annotations

import sys

from ..errors import UserError
from .flags import main

try:
    code = main(sys.argv[1:])
except UserError as error:
    print(f"automate-train: {error}", file=sys.stderr)
    code = 2
except KeyboardInterrupt:
    code = 130
sys.exit(code)
