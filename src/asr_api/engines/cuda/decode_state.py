"""Decode state of all rows, on the device: last tokens, positions, timestamp state and sampled output.

All tensors keep their addresses, so that CUDA graphs can hold them. Every decode step reads and updates them without
the host; the host only starts and stops rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr_api.engines.cuda.device import index_tensor, to_device


@dataclass(frozen=True, slots=True, eq=False)
class DecodeState:
    """Each tensor is (n_rows,) unless stated otherwise."""

    tokens: Tensor  # int64, the last token, not yet fed to the decoder
    positions: Tensor  # int32, number of tokens in the KV cache: the position of the last token
    end_position: Tensor  # int32, the position at which a row stops because the decoder has no more
    slot_of_row: Tensor  # int32, the slot whose encoder states the row attends to
    is_active: Tensor  # bool, the row is being decoded
    has_timestamps: Tensor  # bool, timestamp tokens are allowed
    num_sampled: Tensor  # int32
    last_was_timestamp: Tensor  # bool, of the sampled tokens
    penultimate_was_timestamp: Tensor  # bool, of the sampled tokens; True until there are two
    min_timestamp: Tensor  # int64, the latest timestamp token plus one
    sum_logprob: Tensor  # float32
    temperature: Tensor  # float32, 0 is greedy
    uniforms: Tensor  # (n_rows, n_text_ctx) float32 in [0, 1], one random number for each sampled token
    out_tokens: Tensor  # (n_rows, n_text_ctx) int32, the sampled tokens, end of text included
    out_logprobs: Tensor  # (n_rows, n_text_ctx) float32, of each of them

    def first_rows(self, n_rows: int) -> DecodeState:
        """Views of the first rows."""
        return DecodeState(*(getattr(self, field.name)[:n_rows] for field in fields(self)))

    def start_rows(self, inits: Sequence[RowInit], timestamp_begin: int) -> None:
        """Makes the rows part of the next decode step."""
        device = self.tokens.device
        numbers = [[init.row, init.token, init.position, init.slot, init.has_timestamps] for init in inits]
        rows, tokens, positions, slots, has_timestamps = to_device(torch.tensor(numbers, dtype=torch.int64).T, device)
        temperatures = torch.tensor([init.temperature for init in inits], dtype=torch.float32)
        self.tokens[rows] = tokens
        self.positions[rows] = positions.int()
        self.slot_of_row[rows] = slots.int()
        self.has_timestamps[rows] = has_timestamps.bool()
        self.temperature[rows] = to_device(temperatures, device)
        sampled = [init for init in inits if init.uniforms is not None]
        if sampled:
            uniforms = torch.from_numpy(np.array([init.uniforms for init in sampled], np.float32))
            self.uniforms[index_tensor([init.row for init in sampled], device)] = to_device(uniforms, device)
        for zeroed in (self.num_sampled, self.last_was_timestamp, self.sum_logprob):
            zeroed.index_fill_(0, rows, 0)
        self.min_timestamp.index_fill_(0, rows, timestamp_begin)
        for flag in (self.penultimate_was_timestamp, self.is_active):
            flag.index_fill_(0, rows, True)

    def stop_rows(self, rows: Sequence[int]) -> None:
        self.is_active.index_fill_(0, index_tensor(rows, self.tokens.device), False)


@dataclass(frozen=True, slots=True, eq=False)
class RowInit:
    """The start of a row: after its prompt, at one temperature."""

    row: int
    slot: int
    token: int  # the last token of the prompt
    position: int  # number of tokens before it
    has_timestamps: bool
    temperature: float = 0.0
    uniforms: NDArray[np.float64] | None = None  # (n_text_ctx,) in [0, 1), where the temperature is above 0


def open_decode_state(n_rows: int, n_text_ctx: int, device: torch.device) -> DecodeState:
    """A state in which all rows are inactive."""

    def zeros(dtype: torch.dtype, *dims: int) -> Tensor:
        return torch.zeros(n_rows, *dims, dtype=dtype, device=device)

    int32s, bools, floats = torch.int32, torch.bool, torch.float32
    return DecodeState(
        tokens=zeros(torch.int64),
        positions=zeros(int32s),
        end_position=zeros(int32s).fill_(n_text_ctx - 1),  # a token sampled for the last position is never fed
        slot_of_row=zeros(int32s),
        is_active=zeros(bools),
        has_timestamps=zeros(bools),
        num_sampled=zeros(int32s),
        last_was_timestamp=zeros(bools),
        penultimate_was_timestamp=zeros(bools),
        min_timestamp=zeros(torch.int64),
        sum_logprob=zeros(floats),
        temperature=zeros(floats),
        uniforms=zeros(floats, n_text_ctx),
        out_tokens=zeros(int32s, n_text_ctx),
        out_logprobs=zeros(floats, n_text_ctx),
    )
