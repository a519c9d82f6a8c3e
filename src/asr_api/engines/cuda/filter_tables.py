"""Tables of a checkpoint's logit filters on the device: suppressed tokens and special token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from asr_api.engines.whisper.config import WhisperConfig
from asr_api.engines.whisper.token_kinds import TokenKinds


@dataclass(frozen=True, slots=True, eq=False)
class FilterTables:
    is_suppressed: Tensor  # (n_vocab,) bool, never sampled
    is_suppressed_first: Tensor  # (n_vocab,) bool, not sampled as the first token
    end: int  # id of <|endoftext|>
    timestamp_begin: int  # id of <|0.00|>
    timestamp_end: int  # the first id behind the timestamps, at most n_vocab
    max_first_timestamp: int  # the latest timestamp token that may be the first token


def build_filter_tables(config: WhisperConfig, kinds: TokenKinds, device: torch.device) -> FilterTables:
    def mask_of(tokens: Sequence[int]) -> Tensor:
        mask = torch.zeros(config.n_vocab, dtype=torch.bool)
        mask[list(tokens)] = True
        return mask.to(device)

    begin, end = kinds.timestamps.start, min(kinds.timestamps.stop, config.n_vocab)
    return FilterTables(
        mask_of(config.suppress_tokens),
        mask_of(config.begin_suppress_tokens),
        kinds.end,
        begin,
        end,
        min(begin + config.max_initial_timestamp, end - 1),
    )
