"""Command: the closed domain, and open sentences from files → sentence lists and the tokenizer's files.

    python -m training.text --work build/training
    python -m training.text --work build/training-open --vocabulary 2000 --open sentences.txt more.txt

Out come train.txt, valid.txt (held out, never overlapping) and tokenizer/ in the work folder; with open sentences
open_valid.txt too, and train.txt mixes both kinds and, if wanted, sentences woven of the open ones.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from pathlib import Path

from training.grammar import is_held_out, sentences
from training.open_text import open_sentences, words
from training.tokenizer import train_tokenizer
from training.woven import woven_sentences

TRAIN_SEED, VALID_SEED, RARE_SEED, OPEN_SEED, WOVEN_SEED = 1, 2, 3, 4, 5
MIN_WORD_COUNT = 150
"""Words rarer than this in the training text get further sentences, so that the model hears each often enough."""
NUM_SAID = 2
"""Times that each open sentence stands in the training text, for as many voices."""


def with_rare_words(texts: list[str], seed: int, min_count: int = MIN_WORD_COUNT, share: float = 0.25) -> list[str]:
    """The texts and up to `share` more that contain their rarest words, shuffled."""
    counts = Counter(word for text in texts for word in words(text))
    rng, extra = random.Random(seed), []
    for _ in range(200):
        for text in sentences(rng.randrange(2**31), 1000):
            if any(counts[word] < min_count for word in words(text)):
                extra.append(text)
                counts.update(words(text))
        if min(counts.values()) >= min_count or len(extra) >= share * len(texts):
            break
    mixed = texts + extra
    rng.shuffle(mixed)
    return mixed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/training"))
    parser.add_argument("--sentences", type=int, default=32_000, help="training sentences")
    parser.add_argument("--vocabulary", type=int, default=1000, help="entries of the byte-level BPE")
    parser.add_argument("--open", type=Path, nargs="+", default=[], help="files of English, one sentence a line")
    parser.add_argument("--woven", type=int, default=0, help="sentences made of the open ones, in their place")
    args = parser.parse_args()
    if args.woven and not args.open:
        parser.error("--woven sentences are made of open ones; name files of them with --open.")
    args.work.mkdir(parents=True, exist_ok=True)
    rng = random.Random(OPEN_SEED)
    found = open_sentences(args.open)
    rng.shuffle(found)
    lists = {
        "train": with_rare_words(sentences(TRAIN_SEED, args.sentences), RARE_SEED),
        "valid": list(dict.fromkeys(sentences(VALID_SEED, 4000, held_out=True))),
    }
    if found:
        lists["open_valid"] = [text for text in found if is_held_out(text)]
        free = [text for text in found if not is_held_out(text)]
        lists["train"] += woven_sentences(free, args.woven, WOVEN_SEED) if args.woven else NUM_SAID * free
        rng.shuffle(lists["train"])
    for name, texts in lists.items():
        (args.work / f"{name}.txt").write_text("\n".join(texts) + "\n")
        print(f"{name}.txt: {len(texts)} sentences, {len(set(texts))} distinct")
    train_tokenizer(lists["train"], args.vocabulary, args.work / "tokenizer")


if __name__ == "__main__":
    main()
