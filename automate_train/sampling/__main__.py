"""`python -m automate_train.sampling DIR`: the command without the rest of automate-train.

Covers: errors and exit codes as `cli` has them. Not: anything else.
"""

from __future__ import annotations

import sys

from ..cli.sample import main
from ..errors import UserError

try:
    code = main(sys.argv[1:])
except UserError as error:
    print(f"automate-train: {error}", file=sys.stderr)
    code = 2
except KeyboardInterrupt:
    code = 130
sys.exit(code)
