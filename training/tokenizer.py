"""A byte-level BPE of our own with Whisper's special tokens, in the file formats transformers reads.

In go training sentences; out comes a tokenizer folder, and `Vocabulary`, which turns words and times into ids.
Layout of the ids, as in Whisper's English-only models: text, <|endoftext|>, <|startoftranscript|>, 99 languages,
tasks and other specials, <|notimestamps|>, then 1501 timestamps of 20 ms steps.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from training.domain import listed

LANGUAGES = listed(
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi "
    "ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd "
    "gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su"
)
TIMESTAMP_STEP_MS = 20
NUM_TIMESTAMPS = 1501
END, START, START_OF_PREVIOUS = "<|endoftext|>", "<|startoftranscript|>", "<|startofprev|>"
NO_SPEECH, NO_TIMESTAMPS = "<|nospeech|>", "<|notimestamps|>"
SPECIALS = [
    END,
    START,
    *(f"<|{language}|>" for language in LANGUAGES),
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    START_OF_PREVIOUS,
    NO_SPEECH,
    NO_TIMESTAMPS,
]
TIMESTAMPS = [f"<|{step * TIMESTAMP_STEP_MS / 1000:.2f}|>" for step in range(NUM_TIMESTAMPS)]
MAX_LENGTH = 448


def _byte_level() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def train_tokenizer(texts: Iterable[str], n_text: int, folder: Path) -> None:
    """Learn `n_text` entries (256 bytes included) and write every file of the tokenizer."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = _byte_level()
    trainer = trainers.BpeTrainer(
        vocab_size=n_text, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    learner.train_from_iterator((f" {text}" for text in texts), trainer)
    folder.mkdir(parents=True, exist_ok=True)
    learner.model.save(str(folder))
    vocabulary = json.loads((folder / "vocab.json").read_text())
    write_tokenizer(folder, vocabulary)


def write_tokenizer(folder: Path, vocabulary: dict[str, int]) -> None:
    """Complete a folder that holds the learned vocab.json and merges.txt."""
    first = len(vocabulary)
    tokenizer = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    tokenizer.pre_tokenizer, tokenizer.decoder = _byte_level(), decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIALS])
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=False) for token in TIMESTAMPS])
    ids = {token: first + offset for offset, token in enumerate(SPECIALS + TIMESTAMPS)}
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} {NO_TIMESTAMPS} $A {END}",
        pair=f"{START} {NO_TIMESTAMPS} $A $B {END}",
        special_tokens=[(token, ids[token]) for token in (START, NO_TIMESTAMPS, END)],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(folder / "vocab.json", vocabulary | {END: first})
    _write_json(folder / "added_tokens.json", {token: number for token, number in ids.items() if token != END})
    _write_json(folder / "special_tokens_map.json", _special_roles())
    decoder = {
        str(number): {
            "content": token,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "single_word": False,
            "special": token not in TIMESTAMPS,
        }
        for token, number in ids.items()
    }
    settings = _special_roles() | {
        "tokenizer_class": "WhisperTokenizer",
        "processor_class": "WhisperProcessor",
        "add_prefix_space": False,
        "add_bos_token": False,
        "errors": "replace",
        "model_max_length": MAX_LENGTH,
        "return_attention_mask": False,
        "clean_up_tokenization_spaces": False,
        "added_tokens_decoder": decoder,
    }
    _write_json(folder / "tokenizer_config.json", settings)


def _special_roles() -> dict[str, object]:
    """Which token plays which role; the list names all specials that plain decoding leaves out."""
    return {
        "bos_token": END,
        "eos_token": END,
        "unk_token": END,
        "pad_token": END,
        "additional_special_tokens": SPECIALS,
    }


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n")


class Vocabulary:
    """Ids of words, times and special tokens, read from a tokenizer folder."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.size = self._tokenizer.get_vocab_size()
        special = {token: self.id_of(token) for token in SPECIALS}
        self.specials = special
        self.end, self.start, self.start_of_previous = (
            special[END],
            special[START],
            special[START_OF_PREVIOUS],
        )
        self.no_speech, self.no_timestamps = special[NO_SPEECH], special[NO_TIMESTAMPS]
        self.first_timestamp = self.id_of(TIMESTAMPS[0])
        self.space = self.id_of("Ġ")
        self._known: dict[str, list[int]] = {}

    def id_of(self, token: str) -> int:
        """The id of one token."""
        number = self._tokenizer.token_to_id(token)
        if number is None:
            raise KeyError(f"The tokenizer has no {token!r}.")
        return int(number)

    def word(self, piece: str) -> list[int]:
        """Ids of a word or a mark as it stands in running text (words with their space in front)."""
        if piece not in self._known:
            self._known[piece] = self._tokenizer.encode(piece, add_special_tokens=False).ids
        return self._known[piece]

    def timestamp(self, time_ms: float) -> int:
        """Id of the nearest timestamp of 0 to 30 s."""
        step = min(max(round(time_ms / TIMESTAMP_STEP_MS), 0), NUM_TIMESTAMPS - 1)
        return self.first_timestamp + step

    def text(self, ids: Iterable[int]) -> str:
        """Text of ids; special tokens and timestamps left out."""
        return self._tokenizer.decode([i for i in ids if i < self.end], skip_special_tokens=True)
