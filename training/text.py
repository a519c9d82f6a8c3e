"""Command: the closed domain → sentence lists and the tokenizer's files.

    python -m training.text --work build/training

Out come train.txt, valid.txt (held out, never overlapping) and tokenizer/ in the work folder.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from pathlib import Path

from training.grammar import sentences
from training.tokenizer import train_tokenizer

TRAIN_SEED, VALID_SEED, RARE_SEED = 1, 2, 3
MIN_WORD_COUNT = 150
"""Words rarer than this in the training text get further sentences, so that the model hears each often enough."""


def words(text: str) -> list[str]:
    """The words of a sentence, without case and punctuation."""
    return text.lower().replace(".", "").replace("?", "").replace(",", "").split()


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
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    train = with_rare_words(sentences(TRAIN_SEED, args.sentences), RARE_SEED)
    valid = list(dict.fromkeys(sentences(VALID_SEED, 4000, held_out=True)))
    for name, texts in (("train", train), ("valid", valid)):
        (args.work / f"{name}.txt").write_text("\n".join(texts) + "\n")
    train_tokenizer(train, args.vocabulary, args.work / "tokenizer")
    print(f"{len(train)} training sentences, {len(set(train))} distinct; {len(valid)} held out")


if __name__ == "__main__":
    main()
