"""What is known of each text that is being written, on the device: one entry for each row, updated by every step.

In go the rows that begin and those that stop, out come tensors at addresses that never change. Decode steps read and
write them without the host. Knows nothing about models or about whose text a row is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class DecodeState:
    """Each is (n_rows,) unless it says otherwise.

    tokens:                int64, the last token, not fed yet
    positions:             int32, how many tokens are cached: where the last one goes
    end_position:          int32, where a row stops for want of room
    slot_of_row:           int32, what the row listens to
    is_active:             bool, the row goes on
    has_timestamps:            bool, it writes timestamps
    num_sampled:           int32
    last_was_stamp, penultimate_was_stamp: bool, of the sampled tokens; the latter is True until there are two
    min_stamp:             int64, one more than the latest stamp
    sum_logprob:           float32
    temperature:           float32, 0 takes the greedy
    uniforms:              (n_rows, n_text_ctx) float32 in [0, 1], what chance decides each sampled token
    out_tokens:            (n_rows, n_text_ctx) int32, what was sampled, the end included
    out_logprobs:          (n_rows, n_text_ctx) float32, of each of them
    """

    tokens: Tensor
    positions: Tensor
    end_position: Tensor
    slot_of_row: Tensor
    is_active: Tensor
    has_timestamps: Tensor
    num_sampled: Tensor
    last_was_stamp: Tensor
    penultimate_was_stamp: Tensor
    min_stamp: Tensor
    sum_logprob: Tensor
    temperature: Tensor
    uniforms: Tensor
    out_tokens: Tensor
    out_logprobs: Tensor

    def first(self, n_rows: int) -> DecodeState:
        """Views of the first rows."""
        return DecodeState(*(getattr(self, field.name)[:n_rows] for field in fields(self)))

    def begin(self, starts: Sequence[RowInit], timestamp_begin: int) -> None:
        """DecodeState that begin with the next step."""
        device = self.tokens.device
        numbers = [[one.row, one.token, one.position, one.slot, one.has_timestamps] for one in starts]
        rows, tokens, positions, slots, has_timestamps = moved(torch.tensor(numbers, dtype=torch.int64).T, device)
        self.tokens[rows] = tokens
        self.positions[rows] = positions.int()
        self.slot_of_row[rows] = slots.int()
        self.has_timestamps[rows] = has_timestamps.bool()
        self.temperature[rows] = moved(torch.tensor([one.temperature for one in starts], dtype=torch.float32), device)
        drawn = [one for one in starts if one.uniforms is not None]
        if drawn:
            uniforms = torch.from_numpy(np.array([one.uniforms for one in drawn], np.float32))
            rows_drawn = moved(torch.tensor([one.row for one in drawn]), device)
            self.uniforms[rows_drawn] = moved(uniforms, device)
        for zeroed in (self.num_sampled, self.last_was_stamp, self.sum_logprob):
            zeroed.index_fill_(0, rows, 0)
        self.min_stamp.index_fill_(0, rows, timestamp_begin)
        for set_ in (self.penultimate_was_stamp, self.is_active):
            set_.index_fill_(0, rows, True)

    def stop(self, rows: Sequence[int]) -> None:
        self.is_active.index_fill_(0, moved(torch.tensor(rows, dtype=torch.int64), self.tokens.device), False)


@dataclass(frozen=True, slots=True, eq=False)
class RowInit:
    """token: the last of the prompt; position: how many tokens are before it; uniforms: (n_text_ctx,) where sampled"""

    row: int
    slot: int
    token: int
    position: int
    has_timestamps: bool
    temperature: float = 0.0
    uniforms: NDArray[np.float64] | None = None


def open_rows(n_rows: int, n_text_ctx: int, device: torch.device) -> DecodeState:
    def zeros(dtype: torch.dtype, *dims: int) -> Tensor:
        return torch.zeros(n_rows, *dims, dtype=dtype, device=device)

    end_position = zeros(torch.int32).fill_(n_text_ctx - 1)  # what is sampled in the last position is never fed
    int32s, bools, floats = torch.int32, torch.bool, torch.float32
    return DecodeState(
        tokens=zeros(torch.int64),
        positions=zeros(int32s),
        end_position=end_position,
        slot_of_row=zeros(int32s),
        is_active=zeros(bools),
        has_timestamps=zeros(bools),
        num_sampled=zeros(int32s),
        last_was_stamp=zeros(bools),
        penultimate_was_stamp=zeros(bools),
        min_stamp=zeros(torch.int64),
        sum_logprob=zeros(floats),
        temperature=zeros(floats),
        uniforms=zeros(floats, n_text_ctx),
        out_tokens=zeros(int32s, n_text_ctx),
        out_logprobs=zeros(floats, n_text_ctx),
    )


def moved(values: Tensor, device: torch.device) -> Tensor:
    """To the device without waiting for what it is busy with."""
    if device.type == "cpu":
        return values
    return values.contiguous().pin_memory().to(device, non_blocking=True)
