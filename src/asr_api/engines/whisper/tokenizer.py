"""Whisper's tokenizer: text to token ids and back, and the ids of the special tokens.

Reads tokenizer.json, or vocab.json and merges.txt, of a checkpoint. Ids below the end of text are pieces of
UTF-8; all ids above are special and never become text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers

from asr_api.engines.checkpoints.tokenizer_files import TokenizerFiles
from asr_api.errors import CheckpointError
from asr_api.text.languages import LANGUAGES


class Tokenizer:
    """Special tokens are ids; those that old or English-only checkpoints may lack are None there.

    languages:         code → id, in the order of the ids; English-only tokenizers have them, too
    timestamp_begin:   id of <|0.00|>; every id from here on is a timestamp
    no_speech:         predicted at <|startoftranscript|> for audio without speech; <|nocaptions|> in older checkpoints
    start_of_previous: <|startofprev|>
    """

    def __init__(self, files: TokenizerFiles) -> None:
        """Raises CheckpointError when there is no tokenizer, or not Whisper's."""
        self._backend = _open_backend(files)
        self._backend.decoder = decoders.ByteLevel()
        # Without the added tokens, so that no text becomes a special token.
        self._plain = Backend(self._backend.model)
        self._plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self.end = self._special("endoftext")
        self.start = self._special("startoftranscript")
        self.no_timestamps = self._special("notimestamps")
        self.timestamp_begin = self.no_timestamps + 1
        self.transcribe = self._find("transcribe")
        self.translate = self._find("translate")
        self.start_of_previous = self._find("startofprev")
        no_speech = self._find("nospeech", "nocaptions")
        self.no_speech = self.no_timestamps - 1 if no_speech is None else no_speech
        found = {code: self._find(code) for code in LANGUAGES}
        self.languages = {code: token for code, token in found.items() if token is not None}

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of the tokens; special tokens are skipped, broken UTF-8 becomes U+FFFD."""
        return self._backend.decode([token for token in tokens if token < self.end], skip_special_tokens=False)

    def encode(self, text: str) -> list[int]:
        """The tokens of plain text; the spelling of a special token is text, too."""
        return self._plain.encode(text, add_special_tokens=False).ids

    def _special(self, name: str) -> int:
        token = self._find(name)
        if token is None:
            raise CheckpointError(
                f"The checkpoint's tokenizer has no <|{name}|>, so it is not Whisper's; fetch the checkpoint again."
            )
        return token

    def _find(self, *names: str) -> int | None:
        ids = (self._backend.token_to_id(f"<|{name}|>") for name in names)
        return next((token for token in ids if token is not None), None)


def _open_backend(files: TokenizerFiles) -> Backend:
    try:
        if files.tokenizer_json is not None:
            return Backend.from_buffer(files.tokenizer_json)
        return _from_vocab_files(files)
    except Exception as error:  # the library raises nothing narrower
        raise CheckpointError(
            "The checkpoint's tokenizer.json, or its vocab.json and merges.txt, cannot be read; "
            "fetch the checkpoint again."
        ) from error


def _from_vocab_files(files: TokenizerFiles) -> Backend:
    """The older layout."""
    if files.vocab_json is None or files.merges_txt is None:
        raise ValueError("there is no tokenizer")
    vocab = json.loads(files.vocab_json)
    added: dict[str, int] = json.loads(files.added_tokens_json or b"{}")
    lines = [line for line in files.merges_txt.decode().splitlines() if line and not line.startswith("#version")]
    return Backend(
        models.BPE(vocab | added, [(left, right) for left, _, right in (line.partition(" ") for line in lines)])
    )
