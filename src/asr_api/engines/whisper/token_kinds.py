"""Kinds of token ids: text, special tokens, timestamps, and text tokens that were added behind the timestamps.

Adding tokens to a tokenizer and resizing the embeddings of a checkpoint gives the new tokens the ids behind the last
timestamp. transformers takes every id from <|0.00|> on for a time, in its logit filters and where it cuts segments, so
with timestamps it loses such words; there our tokens differ from its tokens on purpose. Without timestamps it filters
nothing, and they are the same. It also refuses a prompt with such a word, which we encode as the model learned it.
"""

from __future__ import annotations

from dataclasses import dataclass

NUM_TIMESTAMPS = 1501  # <|0.00|>, <|0.02|>, … <|30.00|>


@dataclass(frozen=True, slots=True)
class TokenKinds:
    """All other ids are special tokens, or have no token at all; neither ever becomes text.

    end:        <|endoftext|>; every id below it is text
    timestamps: ids of <|0.00|> to <|30.00|>
    added_text: ids behind the timestamps that are text
    """

    end: int
    timestamps: range
    added_text: frozenset[int] = frozenset()

    def is_text(self, token: int) -> bool:
        return token < self.end or token in self.added_text
