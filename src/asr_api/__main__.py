"""`python -m asr_api` is `asr-api`."""

from __future__ import annotations

import sys

from asr_api.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
