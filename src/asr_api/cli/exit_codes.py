"""Exit codes of `asr-api`, and their description for --help."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    OK = 0
    SOURCE_FAILED = 1
    NOT_STARTED = 2
    SOURCE_INCOMPLETE = 3
    INTERRUPTED = 130


TRANSCRIBE_HELP = """exit codes: 0 success; 1 a source failed; 2 the command could not start; 3 a source is truncated or
damaged, and only its good part was transcribed; 130 interrupted"""
BENCH_HELP = "exit codes: 0 success; 1 the recording failed; 2 the command could not start; 130 interrupted"
