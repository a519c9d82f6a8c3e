"""A tokenizer of transformers as a `segments.Reader`: characters with a delimiter, or pieces of words with a mark."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

WORD_MARKS = ("\u2581", "\u0120")  # of SentencePiece and of byte-level BPE


class TokenText:
    """Implements `asr_api.engines.hf.segments.Reader`."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._delimiter: str | None = getattr(tokenizer, "word_delimiter_token", None)

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        return [self._spaced(str(piece)) for piece in self._tokenizer.convert_ids_to_tokens(list(tokens))]

    def text(self, tokens: Sequence[int]) -> str:
        """Repeated tokens are repeated letters: what CTC says twice was made one before."""
        if not tokens:
            return ""
        text = self._tokenizer.decode(list(tokens), skip_special_tokens=True, group_tokens=False)
        return " ".join(str(text).split())

    def _spaced(self, piece: str) -> str:
        if piece == self._delimiter:
            return " "
        return f" {piece[1:]}" if piece.startswith(WORD_MARKS) else piece
