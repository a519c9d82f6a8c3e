"""One engine in a process of its own: opens it, then waits for a path a line and answers with a line of JSON each.

    python -m benchmarks.peers.worker NAME MODEL NUM_THREADS

Between lines it is blocked on a pipe. What engines print goes to stderr. Knows nothing of the other engines.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from benchmarks.peers.catalogue import CATALOGUE


def main() -> None:
    name, model, num_threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:num_threads])
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as replies:
        os.dup2(2, 1)
        opened = CATALOGUE[name].open(model, num_threads)
        print(json.dumps(opened.process_id), file=replies, flush=True)
        for line in sys.stdin:
            start_s = time.perf_counter()
            heard = opened.transcribe(Path(line.rstrip("\n")))
            seconds = time.perf_counter() - start_s
            print(json.dumps([seconds, heard.num_windows, heard.num_tokens]), file=replies, flush=True)


if __name__ == "__main__":
    main()
