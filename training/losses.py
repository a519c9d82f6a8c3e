"""A batch and the model → what is to be made small: tokens, characters, where the decoder looks, and how far the model
is from a teacher that hears the same by the plain voice. Where there is a teacher, nothing else teaches the encoder.

Knows nothing about steps or optimizers.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn.functional import ctc_loss, log_softmax

from training.batches import IGNORED, Batch
from training.logmel import LogMel
from training.model import Encoder, Whisper
from training.precision import quick_dtype

NEIGHBOUR_SHARE = 0.15
"""Share of a timestamp's target given to each of its two neighbours, 20 ms away."""
MIN_CHARACTERS = 100
"""Where nobody speaks there is no character to divide the loss by."""
GUIDED_HEADS = 1
GUIDE_WEIGHT = 0.4
MAX_EXACT_POSITIONS = 45
"""A span of more than 0.9 s is no word whose time the synthesiser told."""
TAUGHT_WEIGHT = 12.0
"""Of the distance from the teacher, whose gradients agree from batch to batch; the others' hardly do."""


@dataclass(frozen=True, slots=True)
class Losses:
    """Scalars; distance: from the teacher, where there is one."""

    token: Tensor
    character: Tensor
    guide: Tensor
    distance: Tensor | None = None

    def total(self, progress: float) -> Tensor:
        """Their sum, in which characters count less as the decoder learns to stand alone."""
        alone = self.token + max(0.25, 1.0 - 1.5 * progress) * self.character + GUIDE_WEIGHT * self.guide
        if self.distance is None:
            return alone
        return alone + TAUGHT_WEIGHT * self.distance

    def values(self) -> dict[str, float]:
        """For people, by name."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: float(value.detach()) for name, value in found.items() if value is not None}


def losses_of(model: Whisper, batch: Batch, log_mel: LogMel, teacher: Encoder | None = None) -> Losses:
    """The losses of a batch."""
    mel = log_mel(batch.pcm, batch.warps, batch.gains, batch.ripples)
    is_short = quick_dtype(mel.device) == torch.bfloat16
    with torch.autocast(mel.device.type, dtype=torch.bfloat16, enabled=is_short):
        wanted = batch.labels != IGNORED
        audio, logits, attention = model(mel, batch.tokens, wanted, GUIDED_HEADS, teacher is not None)
        characters = model.characters(audio.detach() if teacher else audio)
        distance = None
        if teacher:
            with torch.no_grad():
                taught = teacher(log_mel(batch.plain))
            distance = distance_loss(audio.float(), taught.float())
    return Losses(
        token_loss(logits, batch.labels[wanted], model.size.first_timestamp),
        character_loss(characters, batch),
        guide_loss(attention, batch.spans),
        distance,
    )


def distance_loss(audio: Tensor, taught: Tensor) -> Tensor:
    """Mean squared distance as a share of the teacher's variance; both: (batch, n_source, n_state)."""
    return (audio - taught).square().mean() / taught.var((0, 1)).mean()


def token_loss(logits: Tensor, wanted: Tensor, first_timestamp: int) -> Tensor:
    """Cross-entropy; a timestamp's target is spread a little over its neighbours.

    logits: (num_wanted, n_vocab); wanted: (num_wanted,) int64.
    """
    log_probs = log_softmax(logits.float(), dim=-1)
    exact = log_probs.gather(1, wanted[:, None])[:, 0]
    near = [
        log_probs.gather(1, (wanted + shift).clamp(first_timestamp, logits.shape[-1] - 1)[:, None])[:, 0]
        for shift in (-1, 1)
    ]
    spread = (1 - 2 * NEIGHBOUR_SHARE) * exact + NEIGHBOUR_SHARE * (near[0] + near[1])
    return -torch.where(wanted >= first_timestamp, spread, exact).mean()


def character_loss(logits: Tensor, batch: Batch) -> Tensor:
    """CTC loss per character; logits: (batch, n_source, N_CHARACTERS)."""
    log_probs = log_softmax(logits.float(), dim=-1).transpose(0, 1)
    lengths = torch.full((log_probs.shape[1],), log_probs.shape[0], dtype=torch.long)
    total = ctc_loss(log_probs, batch.characters, lengths, batch.character_lengths, reduction="sum", zero_infinity=True)
    return total / max(MIN_CHARACTERS, int(batch.character_lengths.sum()))


def guide_loss(attention: list[Tensor], spans: Tensor) -> Tensor:
    """How far the guided heads look away from where the next token is said; spans: (batch, n_ctx, 2).

    A head should look at the whole of a word, for then both its edges show; where the time is only known roughly, it is
    enough that it looks somewhere inside.
    """
    positions = torch.arange(attention[0].shape[-1], device=spans.device)
    inside = (positions >= spans[..., :1]) & (positions <= spans[..., 1:])  # (batch, n_ctx, n_source)
    guided = spans[..., 0] >= 0
    inside = inside[guided]  # (num_guided, n_source)
    n_inside = inside.sum(-1)
    is_exact = n_inside <= MAX_EXACT_POSITIONS
    losses = []
    for weights in attention:
        looks = weights.transpose(1, 2)[guided]  # (num_guided, n_guided_heads, n_source)
        mass = (looks * inside[:, None]).sum(-1)
        log_looks = (looks.add(1e-6).log() * inside[:, None]).sum(-1) / n_inside[:, None]
        distance = -log_looks - n_inside.log()[:, None]  # from looking evenly at all of it
        losses.append(torch.where(is_exact[:, None], distance, -mass.add(1e-3).log()))
    return torch.cat(losses).mean() if len(inside) else attention[0].sum() * 0
