"""whisper.cpp through pywhispercpp, with a ggml file that we write (ggml.py), float16 or 8 bits.

Texts of other windows are no prompt here (`n_max_text_ctx`), for no other engine has them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.ggml import write_ggml
from benchmarks.peers.peer import Heard, Opened


@dataclass(frozen=True, slots=True)
class WhisperCpp:
    is_quantised: bool
    package: str = "pywhispercpp"

    def convert(self, checkpoint: Path, cache: Path) -> Path:
        path = cache / f"ggml-{'q8_0' if self.is_quantised else 'f16'}.bin"
        if not path.exists():
            write_ggml(checkpoint, path, is_quantised=self.is_quantised)
        return path

    def open(self, model: Path, num_threads: int) -> Opened:
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
        context = whisper._ctx  # noqa: SLF001 – its tokens are counted nowhere else
        end = library.whisper_token_eot(context)

        def transcribe(path: Path) -> Heard:
            segments = whisper.transcribe(str(path))
            tokens = [
                library.whisper_full_get_token_id(context, segment, index)
                for segment in range(len(segments))
                for index in range(library.whisper_full_n_tokens(context, segment))
            ]
            return Heard(len(segments), sum(token < end for token in tokens))

        return Opened(os.getpid(), transcribe)
