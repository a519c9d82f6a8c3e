"""Composition: settings → a running `Service`; the only file that knows every part, and the order of start and stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from anyio import CapacityLimiter

from asr_api.audio.decoding.decoder import Confirm, Decoder
from asr_api.audio.decoding.protocol import DecodeLimits
from asr_api.audio.decoding.worker_count import count_workers, usable_memory_bytes
from asr_api.audio.sources.growing_spool import GrowingSpool
from asr_api.audio.sources.policy import LocalPaths, MediaPolicy
from asr_api.audio.sources.spool import Spool
from asr_api.audio.vad.silero import SileroVad
from asr_api.early_transcriptions import EarlyTranscription, EarlyTranscriptions
from asr_api.engine_process.supervisor import EngineProcess
from asr_api.engines.checkpoints.resolve import BUILTIN, CheckpointFiles, find_folder, resolve_checkpoint
from asr_api.engines.protocol import EngineOptions
from asr_api.engines.select import open_engine
from asr_api.errors import CheckpointError, CrashingAudio, InvalidParameter, RequestCrashedWorker, SettingsError
from asr_api.events import TranscriptEvent
from asr_api.fair_share import num_for_newcomers
from asr_api.longform.pieces import WindowLength
from asr_api.metrics import Metrics
from asr_api.model_options import check_parameters
from asr_api.model_pool import ModelPool, ServedModel
from asr_api.options import DecodeOptions, RequestOptions, TranscribeOptions, VadOptions
from asr_api.request import RequestScope
from asr_api.scheduler.crash_record import CRASHED, CrashRecord
from asr_api.scheduler.scheduler import Scheduler
from asr_api.settings.folders import find_cache_folder
from asr_api.settings.settings import Settings
from asr_api.shared_transcriptions import SharedTranscriptions, TranscriptionKey
from asr_api.transcriber import Transcriber, count_outcome

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Service:
    """What the edges use: the models, the decoder of files, the transcriber.

    shared: None where repeats run again; early: None where no transcription begins before its upload is complete
    crashed_files: with which a transcription ended because they crash the engine
    """

    pool: ModelPool
    decoder: Decoder
    transcriber: Transcriber
    shared: SharedTranscriptions | None = None
    early: EarlyTranscriptions | None = None
    crashed_files: CrashRecord = field(default_factory=CrashRecord)

    def transcribe(
        self,
        spool: Spool,
        options: TranscribeOptions,
        request: RequestScope,
        early: EarlyTranscription | None = None,
    ) -> AsyncGenerator[TranscriptEvent, None]:
        """The events of one file; the spool stays the caller's. As Transcriber.transcribe. Raises CrashingAudio.

        early: of this spool, which is complete now; it is cancelled if it is not what is asked for
        """
        if spool.digest is not None and self.crashed_files.num_crashes(spool.digest):
            raise CrashingAudio(CRASHED)
        if early is not None and (early.options, early.request.model) != (options, request.model):
            early.cancel()
            early = None
        if self.shared is None or spool.digest is None:
            return self._transcribe(spool, options, request, early)
        key = TranscriptionKey(spool.digest, options, self.pool.get(request.model).model_id, request.tenant)
        if early is not None and key in self.shared:
            early.cancel()
            early = None
        return self.shared.events(
            key, partial(self._transcribe_duplicate, spool, options, request.detached(), early), request.account
        )

    def begin_early(
        self, spool: GrowingSpool, options: TranscribeOptions, request: RequestScope
    ) -> EarlyTranscription | None:
        """Of a spool that is being filled; the caller closes it, with or after the spool.

        None without capacity, and for an account with a limit on its audio, which counts what it gets: an upload that
        never ends gets nothing.
        """
        model = self.pool.get(request.model)
        if request.limits.audio_s_per_hour is not None:
            return None
        if self.early is None or not self.early.has_capacity(model.scheduler.num_open_requests):
            return None
        model.metrics.early_transcriptions.inc()
        own_request = request.detached()

        def count_cancelled() -> None:
            if not request.has_missed_deadline:  # else the edge counts it
                model.metrics.requests["cancelled"].inc()

        start = partial(self._transcribe_growing, spool, options, own_request)
        return self.early.begin(options, own_request, start, count_cancelled)

    async def _transcribe(
        self, spool: Spool, options: TranscribeOptions, request: RequestScope, early: EarlyTranscription | None
    ) -> AsyncGenerator[TranscriptEvent, None]:
        """Remembers a file that crashes the engine: with other options its windows may be others."""
        events = self._started(spool, options, request) if early is None else self._continued(spool, early, request)
        try:
            async with aclosing(events):
                async for event in events:
                    yield event
        except (RequestCrashedWorker, CrashingAudio):
            if spool.digest is not None:
                self.crashed_files.add(spool.digest)
            raise

    def _started(
        self, spool: Spool, options: TranscribeOptions, request: RequestScope, *, is_counted: bool = True
    ) -> AsyncGenerator[TranscriptEvent, None]:
        return self.transcriber.transcribe(self.decoder.decode(spool), options, request, is_counted=is_counted)

    async def _continued(
        self, spool: Spool, early: EarlyTranscription, request: RequestScope
    ) -> AsyncGenerator[TranscriptEvent, None]:
        """Counts the outcome once, also if it begins again."""
        start_again = partial(self._started, spool, early.options, request, is_counted=False)
        with count_outcome(self.pool.get(request.model).metrics, request):
            async with aclosing(early.events(start_again)) as events:
                async for event in events:
                    yield event

    async def _transcribe_duplicate(
        self, spool: Spool, options: TranscribeOptions, request: RequestScope, early: EarlyTranscription | None
    ) -> AsyncGenerator[TranscriptEvent, None]:
        """With a spool of its own, since the first request may leave while others listen."""
        async with (
            spool.duplicate() as own_spool,
            aclosing(self._transcribe(own_spool, options, request, early)) as events,
        ):
            async for event in events:
                yield event

    async def _transcribe_growing(
        self, spool: GrowingSpool, options: TranscribeOptions, request: RequestScope, confirm: Confirm
    ) -> AsyncGenerator[TranscriptEvent, None]:
        async with spool.duplicate() as own_spool:
            source = self.decoder.decode(own_spool, confirm)
            async with aclosing(self.transcriber.transcribe(source, options, request, is_counted=False)) as events:
                async for event in events:
                    yield event


@contextlib.asynccontextmanager
async def open_service(settings: Settings, metrics: Metrics, *, result_cache_s: float = 0) -> AsyncIterator[Service]:
    """A service that is ready, ended on the way out. Raises StartupError when there can be none.

    result_cache_s: of the settings, for a server; 0 shares and keeps nothing
    """
    checkpoint = await in_background(partial(find_checkpoint, settings))
    pool = ModelPool([_served_model(settings, checkpoint, metrics)])
    max_workers = count_workers(usable_memory_bytes(), settings.max_requests + num_for_newcomers(settings.max_requests))
    decoder = Decoder(DecodeLimits(max_audio_s=settings.max_audio_s, max_workers=max_workers))
    try:
        await asyncio.gather(decoder.start(), pool.start(), in_background(SileroVad))
        try:
            check_parameters(default_options(settings).transcribe, pool.get().info)
        except InvalidParameter as error:
            raise SettingsError(f"DEFAULT_LANGUAGE does not fit this model: {error}") from None
        # One analysis of audio at a time: the allocator would keep the memory of each thread.
        transcriber = Transcriber(pool, SileroVad, CapacityLimiter(1))
        shared = SharedTranscriptions(metrics, result_cache_s, settings.max_requests) if result_cache_s else None
        yield Service(pool, decoder, transcriber, shared, EarlyTranscriptions(min(settings.max_requests, max_workers)))
    finally:
        await pool.aclose()
        await decoder.aclose()


def _served_model(settings: Settings, checkpoint: CheckpointFiles, metrics: Metrics) -> ServedModel:
    model_metrics = metrics.for_model(settings.model_id)
    factory = partial(open_engine, engine_options(settings, checkpoint))
    engine = EngineProcess(factory, metrics=model_metrics, is_traced=settings.otel)
    scheduler = Scheduler(engine, metrics=model_metrics, max_requests=settings.max_requests)
    length = WindowLength(settings.window_s, settings.stride_s)
    return ServedModel(settings.model_id, engine, scheduler, model_metrics, length)


def find_checkpoint(settings: Settings) -> CheckpointFiles:
    """Only a hub id needs a cache folder, and only a download one that can be written."""
    model_id, revision = settings.model_id, settings.model_revision
    if model_id == BUILTIN or find_folder(model_id) is not None:
        if revision is not None:
            logger.warning("MODEL_REVISION=%s has no effect: MODEL_ID=%s is not from the hub", revision, model_id)
        return resolve_checkpoint(model_id, revision=None, cache_dir=settings.cache_dir)
    cache = find_cache_folder(settings)
    if cache.note:
        logger.info("%s is the cache: %s", cache.path, cache.note)
    try:
        return resolve_checkpoint(model_id, revision=revision, cache_dir=cache.path)
    except CheckpointError as error:
        if cache.problem is None:
            raise
        raise CheckpointError(f"{error} {cache.problem}") from None


def engine_options(settings: Settings, checkpoint: CheckpointFiles) -> EngineOptions:
    return EngineOptions(
        model_id=settings.model_id,
        checkpoint=checkpoint.folder,
        weight_files=checkpoint.weight_files,
        n_slots=settings.n_slots,
        max_new_tokens=settings.max_new_tokens,
        flash_attention_2=settings.flash_attention_2,
        num_threads=settings.num_threads,
        beam_size=settings.beam_size,
        compute_type=settings.compute_type,
    )


def default_options(settings: Settings) -> RequestOptions:
    """Of a request without parameters."""
    return RequestOptions(
        TranscribeOptions(
            DecodeOptions(language=settings.default_language),
            vad=VadOptions() if settings.vad else None,
            condition_on_previous_text=settings.condition_on_previous_text,
        )
    )


def media_policy(settings: Settings) -> MediaPolicy:
    folder = settings.allowed_local_media_path
    return MediaPolicy(
        max_media_bytes=settings.max_media_bytes,
        local_paths=LocalPaths(root=Path(folder) if folder else None, is_enabled=folder != ""),
        allowed_media_domains=settings.allowed_media_domains,
        allow_private_cidrs=settings.allow_private_cidrs,
        resolves_internal_names=bool(settings.allow_private_cidrs or settings.allowed_media_domains),
    )


async def in_background(work: Callable[[], T]) -> T:
    """The result of `work`, in a daemon thread: a download may be given up half-way, and stdin may never end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            settle = partial(done.set_result, work())
        except Exception as error:  # noqa: BLE001  # handed over, whatever it is
            settle = partial(done.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            loop.call_soon_threadsafe(lambda: done.done() or settle())

    threading.Thread(target=run, name="asr-api-background", daemon=True).start()
    return await done
