"""Process of one system with one model: transcribes the recordings named on stdin and appends each result to a file.

    python -m benchmarks.quality.worker SYSTEM FOLDER NUM_THREADS RESULTS

A line of stdin is the JSON of a `Request`. A recording that fails has no result and is reported on stderr.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.quality.catalogue import CATALOGUE
from benchmarks.quality.results import append_result


@dataclass(frozen=True, slots=True)
class Request:
    key: str
    path: str
    has_words: bool


def main() -> None:
    system, folder, num_threads, results = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:num_threads])
    with CATALOGUE[system].opened(folder, num_threads) as transcribe:
        for request in [Request(**json.loads(line)) for line in sys.stdin]:
            start_s = time.perf_counter()
            try:
                transcription = transcribe(Path(request.path), request.has_words)
            except Exception as error:  # noqa: BLE001 – the next recording may be better
                sys.stderr.write(f"{system}, {request.path}: {type(error).__name__}: {error}\n")
                continue
            append_result(results, request.key, transcription, time.perf_counter() - start_s)


if __name__ == "__main__":
    main()
