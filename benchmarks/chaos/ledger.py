"""The ledger of a load: a line of JSON when a request begins and one when it ends, so that a lost one is missed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from benchmarks.chaos.client import Answer
from benchmarks.chaos.outcomes import Expected, Record
from benchmarks.chaos.planned_requests import Manner, PlannedRequest, Route

BEGIN, END = "begin", "end"


class Ledger:
    def __init__(self, file: TextIO) -> None:
        self._file = file

    def begin(self, planned: PlannedRequest) -> None:
        self._write({"event": BEGIN, "at_s": time.monotonic(), **asdict(planned)})

    def end(self, planned: PlannedRequest, answer: Answer) -> None:
        self._write({"event": END, "at_s": time.monotonic(), "number": planned.number, "answer": asdict(answer)})

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def read_ledger(path: Path, expected: Mapping[str, Expected]) -> list[Record]:
    """expected: by `reference_key`. A number that never began is none; one without an end has no answer."""
    begun: dict[int, tuple[PlannedRequest, float]] = {}
    ended: dict[int, tuple[Answer, float]] = {}
    last_s = 0.0
    for text in path.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        last_s, number = line.pop("at_s"), line["number"]
        if line.pop("event") == BEGIN:
            line |= {"route": Route(line["route"]), "manner": Manner(line["manner"])}
            begun[number] = (PlannedRequest(**line), last_s)
        else:
            ended[number] = (Answer(**line["answer"]), last_s)
    records = []
    for number, (planned, begin_s) in sorted(begun.items()):
        answer, end_s = ended.get(number, (None, last_s))
        records.append(Record(planned, expected[reference_key(planned)], begin_s, end_s, answer))
    return records


def reference_key(planned: PlannedRequest) -> str:
    """What the answer depends on: the content and the API, whose texts differ in blanks."""
    if planned.is_bad:
        return planned.content
    is_openai = planned.route in {Route.OPENAI, Route.OPENAI_STREAM}
    return f"{planned.content} {'openai' if is_openai else 'asr'}"
