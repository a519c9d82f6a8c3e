"""The transformers pipeline as the original asr-api drives it: windows of 30 s with 5 s of stride on each side, greedy.

Two thirds of each window are new, so it hears about one and a half times as many windows as there are.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.peer import Heard, Opened

END = 50257  # of a multilingual vocabulary; what is below is text


@dataclass(frozen=True, slots=True)
class TransformersPipeline:
    dtype: str
    batch_size: int = 16
    package: str = "transformers"

    def convert(self, checkpoint: Path, cache: Path) -> Path:  # noqa: ARG002 – it opens the checkpoint itself
        return checkpoint

    def open(self, model: Path, num_threads: int) -> Opened:
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

        def transcribe(path: Path) -> Heard:
            written.clear()
            wishes = {"language": "en", "task": "transcribe", "num_beams": 1, "do_sample": False}
            pipe(str(path), return_timestamps=True, generate_kwargs=wishes)
            return Heard(sum(len(rows) for rows in written), sum(int((rows < END).sum()) for rows in written))

        return Opened(os.getpid(), transcribe)
