"""whisper.cpp as a peer, through pywhispercpp, with a ggml file in float16 or 8 bits that ggml.py writes.

Previous text is not used as a prompt (`n_max_text_ctx`), because no other engine here does that.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.ggml import write_ggml
from benchmarks.peers.peer import Counts, LoadedEngine


@dataclass(frozen=True, slots=True)
class WhisperCpp:
    is_quantised: bool
    package: str = "pywhispercpp"

    def convert(self, checkpoint: Path, cache: Path) -> Path:
        path = cache / f"ggml-{'q8_0' if self.is_quantised else 'f16'}.bin"
        if not path.exists():
            write_ggml(checkpoint, path, is_quantised=self.is_quantised)
        return path

    def open(self, model: Path, num_threads: int) -> LoadedEngine:
        import _pywhispercpp as library
        from pywhispercpp.model import Model

        whisper = Model(
            str(model),
            n_threads=num_threads,
            language="en",
            n_max_text_ctx=0,
            print_progress=False,
            redirect_whispercpp_logs_to=None,
        )
        context = whisper._ctx  # noqa: SLF001 – the only way to count its tokens
        end = library.whisper_token_eot(context)

        def transcribe(path: Path) -> Counts:
            segments = whisper.transcribe(str(path))
            tokens = [
                library.whisper_full_get_token_id(context, segment, index)
                for segment in range(len(segments))
                for index in range(library.whisper_full_n_tokens(context, segment))
            ]
            return Counts(len(segments), sum(token < end for token in tokens))

        return LoadedEngine(os.getpid(), transcribe)
