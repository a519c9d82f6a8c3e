"""The transformers pipeline as a peer, as the original asr-api used it: greedy, 30 s windows with 5 s stride each side.

Two thirds of each window are new audio, so it decodes about one and a half times as many windows.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.peer import Counts, LoadedEngine

END = 50257  # end-of-text of a multilingual vocabulary; tokens below it are text


@dataclass(frozen=True, slots=True)
class TransformersPipeline:
    dtype: str
    batch_size: int = 16
    package: str = "transformers"

    def convert(self, checkpoint: Path, cache: Path) -> Path:  # noqa: ARG002 – it opens the checkpoint itself
        return checkpoint

    def open(self, model: Path, num_threads: int) -> LoadedEngine:
        import torch
        from transformers import pipeline

        torch.set_num_threads(num_threads)
        pipe = pipeline(
            "automatic-speech-recognition",
            model=str(model),
            device="cpu",
            dtype=getattr(torch, self.dtype),
            chunk_length_s=30,
            stride_length_s=5,
            batch_size=self.batch_size,
        )
        pipe.tokenizer.pad_token_id = END  # as in every published Whisper's tokenizer
        written = []
        generate = pipe.model.generate

        def counted(*args: object, **kwargs: object) -> object:
            output = generate(*args, **kwargs)
            written.append(output["sequences"] if isinstance(output, dict) else output)
            return output

        pipe.model.generate = counted

        def transcribe(path: Path) -> Counts:
            written.clear()
            options = {"language": "en", "task": "transcribe", "num_beams": 1, "do_sample": False}
            pipe(str(path), return_timestamps=True, generate_kwargs=options)
            return Counts(sum(len(rows) for rows in written), sum(int((rows < END).sum()) for rows in written))

        return LoadedEngine(os.getpid(), transcribe)
