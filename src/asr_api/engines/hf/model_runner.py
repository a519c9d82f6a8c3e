"""Runs a loaded model of transformers: from the PCM of a batch of windows to the tokens of each window.

The tokens of a window must not depend on its neighbours. Windows are padded only where the model has a mask for padding
and a trial at the start shows that it changes nothing; otherwise windows of different lengths run one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

import numpy as np
import torch
from transformers import BatchFeature

from asr_api.engines.hf.loading import Kind, LoadedModel
from asr_api.engines.hf.segments import ModelOutput, TimedToken
from asr_api.pcm import SAMPLE_RATE_HZ, SAMPLES_PER_MS, Pcm

Inputs = Mapping[str, torch.Tensor]

MIN_SAMPLES = SAMPLE_RATE_HZ // 10  # convolutions need a few frames; shorter windows get silence at their end
TRIAL_SAMPLES = (4 * SAMPLE_RATE_HZ, 5 * SAMPLE_RATE_HZ // 2)
# Limit of the change of an output by padding, in standard deviations of all outputs. Rounding of float32 gives 1e-5.
MAX_PADDING_ERROR, MAX_PADDING_ERROR_HALF = 1e-3, 5e-2
FRAME_GRID_SAMPLES = 80  # every known model's frame is a multiple of 5 ms
MAX_NEW_TOKENS = 448  # for an encoder-decoder that names no limit of its own


class ModelRunner:
    """For use by one thread at a time.

    may_pad:        windows of different lengths may run together
    max_new_tokens: the limit of one window for an encoder-decoder; None for models without one
    """

    def __init__(self, loaded: LoadedModel, device: torch.device, *, beam_size: int) -> None:
        self._kind = loaded.kind
        self._model = loaded.model.to(device)
        self._extractor = loaded.extractor
        self._tokenizer = loaded.tokenizer
        self._device = device
        self._beam_size = beam_size
        self._adapter: str | None = None
        if device.type == "cuda":
            self._model.to(torch.bfloat16 if loaded.is_bfloat16 else torch.float16)
            if not all(frames.isfinite().all() for frames in self._encode_trials()):
                self._model.to(torch.float32)
        if hasattr(self._model.config, "durations"):  # their outputs follow those for tokens, and are no tokens
            n_vocab, n_durations = self._model.config.vocab_size, len(self._model.config.durations)
            self._model.generation_config.suppress_tokens = list(range(n_vocab, n_vocab + n_durations))
        self._samples_per_frame = 0 if self._kind is Kind.ENCODER_DECODER else self._measure_frame()
        self.may_pad = self._kind is not Kind.ENCODER_DECODER and self._try_padding()
        self.max_new_tokens = self._find_token_limit() if self._kind is Kind.ENCODER_DECODER else None

    def load_adapter(self, adapter: str) -> None:
        """Changes the language of a model with adapters."""
        if adapter != self._adapter:
            self._model.load_adapter(adapter, use_safetensors=True, local_files_only=True)
            self._tokenizer.set_target_lang(adapter)
            self._adapter = adapter

    def run(self, windows: Sequence[Pcm]) -> list[ModelOutput]:
        """Raises MemoryError when the batch does not fit into the accelerator's memory."""
        try:
            with torch.inference_mode():
                inputs = self._extract(windows)
                match self._kind:
                    case Kind.CTC:
                        return self._run_ctc(inputs)
                    case Kind.TRANSDUCER:
                        return self._run_transducer(inputs)
                    case Kind.ENCODER_DECODER:
                        return self._run_encoder_decoder(inputs)
        except torch.cuda.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise MemoryError from error

    def _run_ctc(self, inputs: Inputs) -> list[ModelOutput]:
        """A run of equal tokens is one token; blanks are dropped."""
        logits = self._model(**inputs).logits  # (batch, n_frames, n_vocab)
        peaks, ids = logits.float().softmax(-1).max(-1)
        blank = self._blank
        outputs = []
        for row, num_frames in enumerate(self._count_frames(inputs, logits.shape[1])):
            row_ids, row_peaks = ids[row, :num_frames].tolist(), peaks[row, :num_frames].tolist()
            tokens = []
            for token, run in groupby(range(num_frames), key=row_ids.__getitem__):
                frames = list(run)
                if token != blank:
                    probability = sum(row_peaks[frame] for frame in frames) / len(frames)
                    tokens.append(self._timed(token, frames[0], frames[-1] + 1, probability))
            outputs.append(ModelOutput(tokens))
        return outputs

    def _run_transducer(self, inputs: Inputs) -> list[ModelOutput]:
        """Each step emits a token or a blank and moves on by its duration.

        transformers continues a row that has ended until the longest row ends; the surplus is cut off here.
        """
        config = self._model.config
        num_frames = self._count_frames(inputs, inputs[self._model.main_input_name].shape[1])
        limits = [config.max_symbols_per_step * max(1, count) for count in num_frames]
        result = self._model.generate(**inputs, max_new_tokens=max(limits))
        starts = result.durations.cumsum(-1) - result.durations
        not_text = {self._blank, config.pad_token_id, config.blank_token_id}
        outputs = []
        for row, (count, limit) in enumerate(zip(num_frames, limits, strict=True)):
            parts = (part[row].tolist()[1 : limit + 1] for part in (result.sequences, starts, result.durations))
            tokens = [
                self._timed(token, start, start + max(1, duration))
                for token, start, duration in zip(*parts, strict=True)
                if token not in not_text and start < count
            ]
            outputs.append(ModelOutput(tokens))
        return outputs

    def _run_encoder_decoder(self, inputs: Inputs) -> list[ModelOutput]:
        """Greedy or beam search; no times."""
        result = self._model.generate(
            **inputs, num_beams=self._beam_size, do_sample=False, max_new_tokens=self.max_new_tokens
        )
        ends = self._model.generation_config.eos_token_id
        ends = set(ends if isinstance(ends, list) else [ends])
        outputs = []
        for row in result.tolist():
            tokens = row[1:]  # after the start token, which may be the end token as well
            length = next((index for index, token in enumerate(tokens) if token in ends), None)
            outputs.append(ModelOutput([TimedToken(token) for token in tokens[:length]], is_whole=length is not None))
        return outputs

    @property
    def _blank(self) -> int:
        """The tokenizer's comes before the model's, because an adapter has its own vocabulary."""
        token = self._tokenizer.pad_token_id
        blank: int = self._model.config.pad_token_id if token is None else token
        return blank

    def _extract(self, windows: Sequence[Pcm]) -> Inputs:
        audio = [np.pad(pcm, (0, max(0, MIN_SAMPLES - len(pcm)))).astype(np.float32) / 32_768 for pcm in windows]
        features: BatchFeature = self._extractor(audio, sampling_rate=SAMPLE_RATE_HZ, padding=True, return_tensors="pt")
        return {
            name: values.to(self._device, self._model.dtype if values.is_floating_point() else None)
            for name, values in features.items()
        }

    def _count_frames(self, inputs: Inputs, n_frames: int) -> list[int]:
        """The number of frames of each row that are not padding."""
        mask, counter = inputs.get("attention_mask"), self._frame_counter
        if mask is None or counter is None:
            return [n_frames] * len(next(iter(inputs.values())))
        return [min(n_frames, int(count)) for count in counter(mask.sum(-1)).tolist()]

    @property
    def _frame_counter(self) -> Callable[[torch.Tensor], torch.Tensor] | None:
        """Input lengths → output lengths, by the model's own arithmetic."""
        names = ("_get_feat_extract_output_lengths", "_get_subsampling_output_length")
        return next((getattr(self._model, name) for name in names if hasattr(self._model, name)), None)

    def _timed(self, token: int, start: int, end: int, probability: float | None = None) -> TimedToken:
        per_frame_ms = self._samples_per_frame / SAMPLES_PER_MS
        return TimedToken(token, round(start * per_frame_ms), round(end * per_frame_ms), probability)

    def _find_token_limit(self) -> int:
        generation_config, config = self._model.generation_config, self._model.config
        if generation_config.max_new_tokens:
            return int(generation_config.max_new_tokens)
        if generation_config.max_length and generation_config.max_length > 20:  # 20 is the default of transformers
            return int(generation_config.max_length) - 1
        decoder = config.get_text_config(decoder=True)
        names = ("max_target_positions", "max_position_embeddings")
        limits = [int(limit) - 1 for name in names if (limit := getattr(decoder, name, None))]
        return min(*limits, MAX_NEW_TOKENS) if limits else MAX_NEW_TOKENS

    def _measure_frame(self) -> int:
        """Samples between two outputs. The edges cost a frame or two, so the quotient is rounded."""
        n_frames: int = self._encode_trials()[0].shape[1]
        return max(1, round(TRIAL_SAMPLES[0] / n_frames / FRAME_GRID_SAMPLES)) * FRAME_GRID_SAMPLES

    def _try_padding(self) -> bool:
        """Whether two sounds of different lengths give the same output together as alone."""
        with torch.inference_mode():
            inputs = self._extract(_trials())
            if "attention_mask" not in inputs or self._frame_counter is None:
                return False
            together = self._own_frames(inputs)
            alone = [self._own_frames(self._extract([trial]))[0] for trial in _trials()]
        limit = MAX_PADDING_ERROR if self._model.dtype == torch.float32 else MAX_PADDING_ERROR_HALF
        return all(
            expected.shape == padded.shape and bool((expected - padded).abs().max() <= limit * expected.std())
            for expected, padded in zip(alone, together, strict=True)
        )

    def _own_frames(self, inputs: Inputs) -> list[torch.Tensor]:
        """The frames of each row without its padding."""
        encoded = self._encode(inputs)
        counts = self._count_frames(inputs, encoded.shape[1])
        return [row[:count] for row, count in zip(encoded, counts, strict=True)]

    def _encode_trials(self) -> list[torch.Tensor]:
        with torch.inference_mode():
            return [self._encode(self._extract([trial])) for trial in _trials()]

    def _encode(self, inputs: Inputs) -> torch.Tensor:
        """(batch, n_frames, n_outputs) float32: the outputs from which the text is decoded."""
        match self._kind:
            case Kind.CTC:
                encoded = self._model(**inputs).logits
            case Kind.TRANSDUCER:
                encoded = self._model.get_audio_features(**inputs).pooler_output
            case Kind.ENCODER_DECODER:
                encoded = self._model.get_encoder()(**inputs).last_hidden_state
        frames: torch.Tensor = encoded.float()
        return frames


def _trials() -> list[Pcm]:
    """Two sounds of noise, the same at every start."""
    random = np.random.RandomState(0)
    return [np.asarray(random.uniform(-8000, 8000, length), np.int16) for length in TRIAL_SAMPLES]
