"""Any Whisper checkpoint on a graphics card: PCM windows in, window transcripts out.

Windows wait, are heard some at a time on one stream, and are written together on another; those that come later join,
those that are done leave, those whose text looks wrong are tried again, all between two bursts. While a burst runs, the
host reads what the one before wrote. What a window says never depends on its neighbours. Knows nothing about requests.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from asr_api.engines.checkpoints.safetensors import Weights
from asr_api.engines.cpu import processor_name, usable_cores
from asr_api.engines.cuda.decode_state import open_rows
from asr_api.engines.cuda.device import Device, choose_device
from asr_api.engines.cuda.device_window import DeviceWindow
from asr_api.engines.cuda.encoding import WindowEncoder
from asr_api.engines.cuda.generation import Generator, Style
from asr_api.engines.cuda.kernels.triton_language import launch_error
from asr_api.engines.cuda.kv_cache import Caches, open_caches
from asr_api.engines.cuda.layers import Loader
from asr_api.engines.cuda.memory_plan import MemoryPlan, plan_memory
from asr_api.engines.cuda.model import CrossProjection, Decoder, Encoder
from asr_api.engines.cuda.prefill import Prefill
from asr_api.engines.cuda.reference_ops import filter_tables
from asr_api.engines.cuda.step_graphs import StepGraphs
from asr_api.engines.cuda.word_timestamps import Ending, WordTimestamps
from asr_api.engines.protocol import EngineInfo, EngineOptions, FinishedJob, WindowJob, check_jobs
from asr_api.engines.whisper.capabilities import with_capabilities
from asr_api.engines.whisper.config import WhisperConfig, read_whisper_config
from asr_api.engines.whisper.decoding import Limits, TokenStepper
from asr_api.engines.whisper.prompt import PromptBuilder
from asr_api.engines.whisper.slot import Slot
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.engines.whisper.transcript_builder import TranscriptBuilder
from asr_api.errors import CheckpointError
from asr_api.options import DecodeOptions
from asr_api.pcm import SAMPLE_RATE_HZ

WARM_UP_JOB = -1

logger = logging.getLogger(__name__)


class CudaEngine:
    """Implements `asr_api.engines.protocol.Engine`."""

    def __init__(
        self,
        options: EngineOptions,
        new_transcript_builder: Callable[[Tokenizer], TranscriptBuilder] = TranscriptBuilder,
        *,
        device: str = "",
        dtype: torch.dtype | None = None,
    ) -> None:
        """new_transcript_builder: another one may also record how a window was decoded

        device, dtype: the first graphics card and float16 by default; a processor computes in float32

        Raises CheckpointError when the folder holds no Whisper checkpoint that can be read, or when it does not fit.
        """
        self._spec = config = read_whisper_config(options.checkpoint)
        self._tokenizer = tokenizer = Tokenizer(options.checkpoint)
        self._prompts = PromptBuilder(config, tokenizer)
        self._finisher = new_transcript_builder(tokenizer)
        self._machine = machine = choose_device(
            wants_flash=options.flash_attention_2,
            d_head=config.n_state // config.n_audio_head,
            device=device,
            dtype=dtype,
            cpu_name=processor_name(),
        )
        torch.set_num_threads(options.num_threads or (1 if machine.is_cuda else usable_cores()))
        self._stream = machine.new_stream(is_urgent=True)
        self._is_broken = False
        with self._working():
            load = Loader(Weights(options.checkpoint), machine.device, machine.dtype)
            decoder = Decoder(config, load)
            encoder, projection = Encoder(config, load), CrossProjection(config, load)
            machine.settle()
            sizes, caches = _open_caches(config, machine, options)
            self._ear = WindowEncoder(config, machine, caches, encoder, projection, sizes.max_batch)
            rows = open_rows(sizes.n_rows, config.n_text_ctx, machine.device)
            rules = filter_tables(config, tokenizer.end, tokenizer.no_timestamps, machine.device)
            self._bursts = StepGraphs(decoder, caches, rows, rules)
            machine.settle()  # the weights are there before another stream uses them
        self._reader = Prefill(decoder, caches, machine, self._prompts)
        limits = Limits(tokenizer.end, tokenizer.timestamp_begin, config.n_text_ctx, options.max_new_tokens)
        beams = TokenStepper(config, tokenizer, max_new_tokens=options.max_new_tokens, beam_size=options.beam_size)
        style = Style(limits, options.beam_size, beams)
        self._writer = Generator(decoder, caches, rows, machine, self._bursts, style)
        self._free_places = list(range(sizes.n_slots))
        self._waiting: deque[Slot] = deque()
        self._heard: list[DeviceWindow] = []  # or being heard: their prompts are still to be read
        self._read: list[DeviceWindow] = []  # between two passes
        self._endings = WordTimestamps(self._reader, self._prompts, tokenizer)
        self._windows: dict[
            int, DeviceWindow
        ] = {}  # by job: all that were ever given to the ear, until they are finished
        info = EngineInfo(
            model_id=options.model_id,
            engine="cuda",
            device_name=machine.name,
            window_s=config.window_s,
            n_slots=sizes.n_slots,
            compute_type=str(machine.dtype).removeprefix("torch."),
            notes=(*machine.notes, *_notes(options, sizes), *_kernel_notes(machine)),
        )
        self._info = with_capabilities(info, config, tokenizer)

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def free_slots(self) -> int:
        return self._info.n_slots - len(self._waiting) - len(self._windows)

    def admit(self, jobs: Sequence[WindowJob]) -> None:
        """Raises InvalidParameter, and admits none, when a job asks for what the checkpoint cannot do."""
        check_jobs(jobs, self.free_slots, self._info.window_s)
        self._waiting += [Slot(job, self._prompts.build(job.options)) for job in jobs]

    def step(self) -> list[FinishedJob]:
        """Hears the next windows and writes the others; waits only for the burst before the one it begins."""
        with self._working():
            self._read_prompts()  # of what was heard meanwhile, before the ear is busy with the next windows again
            self._listen()
            self._read_prompts()
            self._read = [window for window in self._read if not self._writer.begin(window, self._reader)]
            self._writer.write()
            return self._settle()

    def cancel(self, job_ids: Sequence[int]) -> None:
        """Raises RuntimeError when the device is lost, so that nobody takes this process for a working one."""
        if self._is_broken:
            raise RuntimeError("the GPU is lost to this process, which has to end")
        self._waiting = deque(slot for slot in self._waiting if slot.job.job_id not in job_ids)
        for job_id in job_ids:
            if job_id in self._windows:
                self._leave(self._windows[job_id])

    def warm_up(self) -> None:
        """Raises CheckpointError when the model computes no numbers."""
        with self._working():
            self._bursts.capture()
        silence, options = np.zeros(SAMPLE_RATE_HZ, np.int16), DecodeOptions(temperatures=(0.0,))
        for num in range(1, self._ear.max_batch + 1):  # what is planned or built for a size, or lacks memory, is now
            jobs = [WindowJob(WARM_UP_JOB - index, silence, options) for index in range(num)]
            self.admit(jobs)
            self._begin_first(jobs[0].job_id)
            self.step()
            self.cancel([job.job_id for job in jobs])
            self.step()

    def close(self) -> None:
        self._waiting.clear()
        self.cancel(list(self._windows))

    def _begin_first(self, job_id: int) -> None:
        """As in a step, but looks at what comes out."""
        with self._working():
            self._listen()
            self._read_prompts()
            start = self._windows[job_id].start
            if start is not None and not np.isfinite(start.wait()).all():
                raise CheckpointError(
                    "The checkpoint's weights are broken: what it computes for silence is no number; fetch it again."
                )

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        """On our stream, without gradients; tells an error that the device does not recover from."""
        with torch.inference_mode(), torch.cuda.stream(self._stream) if self._stream else contextlib.nullcontext():
            try:
                yield
            except RuntimeError:
                self._is_broken = self._machine.is_cuda and _is_lost()
                raise

    def _listen(self) -> None:
        """Gives the next windows to the ear, once it has heard the last ones."""
        if not self._waiting or not self._ear.is_done:
            return
        slots = [self._waiting[index] for index in range(min(len(self._waiting), len(self._free_places)))]
        places = self._free_places[: len(slots)]
        for slot in slots[: self._ear.hear([slot.job.pcm for slot in slots], places)]:
            self._waiting.popleft()
            self._windows[slot.job.job_id] = window = DeviceWindow(slot, self._free_places.pop(0))
            self._heard.append(window)

    def _read_prompts(self) -> None:
        """Of windows that were heard. While nothing is being written there is nothing better to do than to wait."""
        if not self._heard or not (self._ear.is_done or self._writer.is_idle):
            return
        ready = [window for window in self._heard if self._writer.take_row(window)]
        if ready:
            self._ear.let_wait()
            self._reader.read(ready)
        self._heard = self._heard[len(ready) :]
        self._read += ready

    def _settle(self) -> list[FinishedJob]:
        """What became of windows whose pass is done: finished, or to be tried again."""
        finished = [self._finish(ending) for ending in self._endings.take()]
        for window in self._writer.take_done():
            window.read_start(self._prompts)
            attempt = self._finisher.assess_candidates(window.slot, window.one.candidates if window.one else [])
            if attempt is None:
                self._read.append(window)
            elif window.slot.job.options.words and (segments := self._finisher.segments(window.slot, attempt)):
                self._endings.begin(window, attempt, segments)
            else:
                finished.append(self._finish(Ending(window, attempt)))
        return finished

    def _finish(self, ending: Ending) -> FinishedJob:
        slot = ending.window.slot
        transcript = self._finisher.transcript(slot, ending.attempt, ending.words)
        if not ending.attempt.candidate.is_whole:
            logger.warning("A window was broken off after %d tokens; it says so.", transcript.num_tokens)
        self._leave(ending.window)
        return FinishedJob(slot.job.job_id, transcript)

    def _leave(self, window: DeviceWindow) -> None:
        self._writer.leave(window)
        del self._windows[window.slot.job.job_id]
        self._heard = [each for each in self._heard if each is not window]
        self._read = [each for each in self._read if each is not window]
        self._endings.leave(window)
        self._free_places.append(window.place)


def _open_caches(config: WhisperConfig, machine: Device, options: EngineOptions) -> tuple[MemoryPlan, Caches]:
    wanted = options.n_slots
    while True:
        sizes = plan_memory(config, machine.dtype, wanted, options.beam_size, machine.free_bytes())
        if sizes is None:
            raise CheckpointError(
                f"The GPU ({machine.name}) has no memory left for a single window beside the model's weights; "
                "free some of it, or sample a smaller checkpoint as MODEL_ID."
            )
        try:
            return sizes, open_caches(config, sizes.n_slots, sizes.n_rows, machine.device, machine.dtype)
        except torch.OutOfMemoryError:  # somebody else was faster
            torch.cuda.empty_cache()
            wanted = sizes.n_slots // 2


def _notes(options: EngineOptions, sizes: MemoryPlan) -> tuple[str, ...]:
    notes = []
    if sizes.n_slots != options.n_slots:
        notes.append(f"The GPU's memory holds {sizes.n_slots} windows at once, not {options.n_slots}.")
    if options.compute_type != "auto":
        notes.append("COMPUTE_TYPE has no effect on a GPU: it is for processors.")
    return tuple(notes)


def _kernel_notes(machine: Device) -> tuple[str, ...]:
    reason = launch_error() if machine.is_cuda else ""
    return (f"Decoding is slower than it could be on this GPU: {reason}.",) if reason else ()


def _is_lost() -> bool:
    """True when the device answers every call with an error, for as long as the process lives."""
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return True
    return False
