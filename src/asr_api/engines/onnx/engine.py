"""The ONNX engine: transcribes windows of any Whisper checkpoint on a CPU with ONNX Runtime, without torch.

Windows are encoded one after another and decoded together, each at its own position. A new window joins the running
batch, a finished one leaves it, and one that needs temperature fallback moves to the batch of sampled windows. The
transcript of a window never depends on the other windows in the batch.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence

import numpy as np

from asr_api.engines.onnx.batch import Batch
from asr_api.engines.onnx.encoder_graph import Encoder
from asr_api.engines.protocol import EngineInfo, FinishedJob, WindowJob, check_jobs
from asr_api.engines.whisper.fallback import Candidate
from asr_api.engines.whisper.prompt import PromptBuilder
from asr_api.engines.whisper.slot import Slot
from asr_api.engines.whisper.transcript_builder import TranscriptBuilder
from asr_api.errors import CheckpointError
from asr_api.options import DecodeOptions
from asr_api.pcm import SAMPLE_RATE_HZ
from asr_api.transcript import Word

BURST_STEPS = 8
MAX_BURST_S = 0.25
URGENT_BURSTS = 16  # bursts between two encodings of windows that are not urgent, while urgent ones are decoded
WARM_UP_JOB = -1

logger = logging.getLogger(__name__)


class OnnxEngine:
    """Implements `asr_api.engines.protocol.Engine`; made by `open_onnx_engine`."""

    def __init__(
        self,
        info: EngineInfo,
        encoder: Encoder,
        greedy: Batch,
        sampled: Batch,
        prompts: PromptBuilder,
        transcripts: TranscriptBuilder,
    ) -> None:
        """greedy: passes at temperature 0, greedy or beam search; sampled: passes at higher temperatures"""
        self._info = info
        self._encoder = encoder
        self._greedy = greedy
        self._sampled = sampled
        self._prompts = prompts
        self._transcripts = transcripts
        self._waiting: deque[Slot] = deque()  # urgent ones first
        self._num_bursts = 0  # since a window was encoded that was not urgent

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def free_slots(self) -> int:
        return self._info.n_slots - len(self._greedy.passes) - len(self._sampled.passes) - len(self._waiting)

    def admit(self, jobs: Sequence[WindowJob]) -> None:
        """Admits all jobs, or none: raises InvalidParameter when the checkpoint does not support the options of one."""
        check_jobs(jobs, self.free_slots, self._info.window_s)
        slots = [Slot(job, self._prompts.build(job.options)) for job in jobs]
        # The sort is stable: otherwise windows keep their order.
        self._waiting = deque(sorted((*self._waiting, *slots), key=lambda slot: not slot.job.is_urgent))

    def step(self) -> list[FinishedJob]:
        """Encodes one window or decodes a burst; new windows and cancellations never wait for longer than that."""
        if self._should_encode():
            is_urgent = self._waiting[0].job.is_urgent
            self._encode_next()
            self._num_bursts = self._num_bursts if is_urgent else 0
            return []
        self._num_bursts += 1
        return self._decode_burst()

    def cancel(self, job_ids: Sequence[int]) -> None:
        self._waiting = deque(slot for slot in self._waiting if slot.job.job_id not in job_ids)
        for batch in (self._greedy, self._sampled):
            for index in reversed(range(len(batch.passes))):
                if batch.passes[index].slot.job.job_id in job_ids:
                    batch.remove(index)

    def warm_up(self) -> None:
        """Raises CheckpointError when the model's logits are not finite."""
        self.admit([WindowJob(WARM_UP_JOB, np.zeros(SAMPLE_RATE_HZ, np.int16), DecodeOptions())])
        slot = self._encode_next()
        if slot.first_logits is None or not np.isfinite(slot.first_logits).all():
            raise CheckpointError(
                "The checkpoint's weights are broken: its logits for silence contain NaN or infinity; fetch it again."
            )
        self.step()
        self.cancel([WARM_UP_JOB])

    def close(self) -> None:
        self._waiting.clear()
        del self._encoder, self._greedy, self._sampled

    def _should_encode(self) -> bool:
        """True when a waiting window is to be encoded now.

        All waiting windows are encoded before the next burst: a fuller batch is more efficient. While urgent windows
        are decoded, others are encoded only once in URGENT_BURSTS: otherwise a short clip would wait for every window
        with which a long file fills a free slot.
        """
        if not self._waiting:
            return False
        if self._waiting[0].job.is_urgent or self._num_bursts >= URGENT_BURSTS:
            return True
        passes = (*self._greedy.passes, *self._sampled.passes)
        return not any(running.slot.job.is_urgent for running in passes)

    def _encode_next(self) -> Slot:
        slot = self._waiting.popleft()
        batch = self._sampled if slot.temperature else self._greedy
        batch.add(slot, self._encoder, self._prompts)
        return slot

    def _decode_burst(self) -> list[FinishedJob]:
        until_s = time.monotonic() + MAX_BURST_S
        for _ in range(BURST_STEPS):
            finished = self._collect_finished(self._greedy) + self._collect_finished(self._sampled)
            if finished or time.monotonic() >= until_s:
                return finished
            for batch in (self._greedy, self._sampled):
                if batch.passes:
                    batch.step()
        return self._collect_finished(self._greedy) + self._collect_finished(self._sampled)

    def _collect_finished(self, batch: Batch) -> list[FinishedJob]:
        """Removes finished windows from a batch; starts the next pass of those that need temperature fallback."""
        finished = []
        while (index := next((i for i, running in enumerate(batch.passes) if running.is_done), None)) is not None:
            slot = batch.passes[index].slot
            candidate = self._transcripts.assess_candidates(slot, batch.passes[index].candidates)
            if candidate is not None:
                finished.append(self._finish(batch, index, candidate))
                batch.remove(index)
            elif batch is self._sampled:
                batch.restart(index)
            else:
                self._sampled.move_from(batch, index)
        return finished

    def _finish(self, batch: Batch, index: int, candidate: Candidate) -> FinishedJob:
        slot = batch.passes[index].slot
        words: tuple[tuple[Word, ...], ...] = ()
        if slot.job.options.words and (segments := self._transcripts.segments(slot, candidate)):
            tokens = [token for segment in segments for token in segment.tokens]
            text = self._prompts.alignment_text(slot.prompt, tokens)
            words = self._transcripts.words(slot, segments, batch.attention(index, text), text.first_row)
        transcript = self._transcripts.transcript(slot, candidate, words)
        if not candidate.is_whole:
            logger.warning("A window was broken off after %d tokens; its segments are doubtful.", transcript.num_tokens)
        return FinishedJob(slot.job.job_id, transcript)
