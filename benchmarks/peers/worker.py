"""Worker process of one engine: loads it, then reads one path per line and replies with one line of JSON each.

    python -m benchmarks.peers.worker NAME MODEL NUM_THREADS

Between lines it is blocked on a pipe. Output of engines goes to stderr.
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
        engine = CATALOGUE[name].open(model, num_threads)
        print(json.dumps(engine.process_id), file=replies, flush=True)
        for line in sys.stdin:
            start_s = time.perf_counter()
            counts = engine.transcribe(Path(line.rstrip("\n")))
            seconds = time.perf_counter() - start_s
            print(json.dumps([seconds, counts.num_windows, counts.num_tokens]), file=replies, flush=True)


if __name__ == "__main__":
    main()
