"""`python -m tests.images.builtin_hub`: a hub on loopback whose one repository, some/model, is the built-in model.

Prints its address, and ends with its standard input.
"""

from __future__ import annotations

import sys

from asr_api.engines.checkpoints.resolve import BUILTIN_FOLDER
from tests.engines.checkpoints.fake_hub import Hub, serve


def main() -> None:
    files = {file.name: file.read_bytes() for file in BUILTIN_FOLDER.iterdir() if file.is_file()}
    with serve(Hub(files)) as hub:
        print(hub.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
