"""Whisper's tokenizer: text to token ids and back, and the ids of the special tokens.

Reads tokenizer.json, or vocab.json and merges.txt, of a checkpoint. Ids below the end of text are pieces of UTF-8; all
ids above are special and never become text, except for text tokens that were added behind the timestamps.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from tokenizers import AddedToken, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Backend

from asr_api.engines.checkpoints.json_file import UnreadableJson, parse_json
from asr_api.engines.checkpoints.tokenizer_files import TokenizerFiles
from asr_api.engines.whisper.token_kinds import NUM_TIMESTAMPS, TokenKinds
from asr_api.errors import CheckpointError
from asr_api.text.languages import LANGUAGES


class Tokenizer:
    """Special tokens are ids; those that old or English-only checkpoints may lack are None there.

    languages:         code → id, in the order of the ids; English-only tokenizers have them, too
    kinds:             which ids are text, and which are timestamps
    no_speech:         predicted at <|startoftranscript|> for audio without speech; <|nocaptions|> in older checkpoints
    start_of_previous: <|startofprev|>
    """

    def __init__(self, files: TokenizerFiles, n_vocab: int = 2**31) -> None:
        """n_vocab: ids from here on are never given, because the model has no embeddings for them

        Raises CheckpointError when there is no tokenizer, or not Whisper's.
        """
        self._n_vocab = n_vocab
        self._backend, added = _open_backend(files)
        self._backend.decoder = decoders.ByteLevel()
        # Without the added tokens, so that no text becomes a special token.
        self._plain = Backend(self._backend.model)
        self._plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self.end = self._special("endoftext")
        self.start = self._special("startoftranscript")
        self.no_timestamps = self._special("notimestamps")
        timestamps = range(self.no_timestamps + 1, self.no_timestamps + 1 + NUM_TIMESTAMPS)
        if timestamps.stop > n_vocab:
            raise CheckpointError(
                f"The checkpoint's tokenizer has {timestamps.stop} tokens, and its weights are for {n_vocab}: they are "
                "of different models; fetch the checkpoint again."
            )
        behind = [token for token in self._backend.get_vocab().values() if timestamps.stop <= token < n_vocab]
        text_ids = [token for token in behind if token not in added or not added[token].special]
        self.kinds = TokenKinds(self.end, timestamps, frozenset(text_ids))
        # Added tokens are plain text, not pieces of UTF-8 in the letters of byte-level BPE.
        self._added_text = {token: added[token].content for token in text_ids if token in added}
        self._plain.add_tokens([added[token] for token in self._added_text])
        self._added_ids = {self._plain.token_to_id(text): token for token, text in self._added_text.items()}
        self._letter_bytes = _letter_bytes()
        self.transcribe = self._find("transcribe")
        self.translate = self._find("translate")
        self.start_of_previous = self._find("startofprev")
        no_speech = self._find("nospeech", "nocaptions")
        self.no_speech = self.no_timestamps - 1 if no_speech is None else no_speech
        found = {code: self._find(code) for code in LANGUAGES}
        self.languages = {code: token for code, token in found.items() if token is not None}

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of the tokens; special tokens are skipped, broken UTF-8 becomes U+FFFD."""
        runs = groupby(filter(self.kinds.is_text, tokens), key=self._added_text.get)
        return "".join(
            self._backend.decode(list(run), skip_special_tokens=False) if text is None else text * len(list(run))
            for text, run in runs
        )

    def token_bytes(self, tokens: Iterable[int]) -> tuple[bytes, ...]:
        """The UTF-8 of each token, which may be a part of a character; together what `decode` reads.

        tokens: of text
        """
        return tuple(map(self._bytes, tokens))

    def _bytes(self, token: int) -> bytes:
        text = self._added_text.get(token)
        if text is not None:
            return text.encode()
        letters = self._backend.id_to_token(token) or ""
        if not self._letter_bytes.keys() >= set(letters):  # no piece of UTF-8 but a text, for the library as well
            return letters.encode()
        return bytes(map(self._letter_bytes.__getitem__, letters))

    def encode(self, text: str) -> list[int]:
        """The tokens of plain text; the spelling of a special token is text, too."""
        ids = self._plain.encode(text, add_special_tokens=False).ids
        return [token for token in (self._added_ids.get(token, token) for token in ids) if token < self._n_vocab]

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


def _letter_bytes() -> dict[str, int]:
    """The letters of byte-level BPE: printable bytes stand for themselves, all others for letters from U+0100 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + index): byte for index, byte in enumerate(others)}


def _open_backend(files: TokenizerFiles) -> tuple[Backend, dict[int, AddedToken]]:
    """The tokenizer, and its added tokens by id."""
    try:
        if files.tokenizer_json is not None:
            _check_tokenizer_json(files.tokenizer_json)
            backend = Backend.from_buffer(files.tokenizer_json)
            return backend, backend.get_added_tokens_decoder()
        return _from_vocab_files(files)
    except Exception as error:  # the library raises nothing narrower
        reason = f" ({error})" if isinstance(error, UnreadableJson) else ""
        names = (
            "tokenizer (vocab.json, merges.txt, added_tokens.json)"
            if files.tokenizer_json is None
            else "tokenizer.json"
        )
        raise CheckpointError(
            f"The checkpoint's {names} cannot be read{reason}; fetch the checkpoint again."
        ) from error


def _check_tokenizer_json(data: bytes) -> None:
    """Raises UnreadableJson for what the library would report with a trace of its own on stderr."""
    model = parse_json(data).get("model")
    if not isinstance(model, dict) or model.get("type") != "BPE" or model.get("continuing_subword_prefix"):
        raise UnreadableJson("it is not byte-level BPE")


def _from_vocab_files(files: TokenizerFiles) -> tuple[Backend, dict[int, AddedToken]]:
    """The older layout. It does not say which added tokens are special; their spelling does, as in <|en|>."""
    if files.vocab_json is None or files.merges_txt is None:
        raise ValueError("there is no tokenizer")
    vocab, added = _token_ids(files.vocab_json), _token_ids(files.added_tokens_json or b"{}")
    lines = [line for line in files.merges_txt.decode().splitlines() if line and not line.startswith("#version")]
    backend = Backend(
        models.BPE(vocab | added, [(left, right) for left, _, right in (line.partition(" ") for line in lines)])
    )
    return backend, {token: AddedToken(text, special=text.startswith("<|")) for text, token in added.items()}


def _token_ids(data: bytes) -> dict[str, int]:
    entries = parse_json(data)
    ids = {text: token for text, token in entries.items() if type(token) is int}
    if len(ids) < len(entries):
        raise UnreadableJson("a token has no id")
    return ids
