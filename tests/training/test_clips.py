"""The clip store gives back what was written, tracks too."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.clips import FRAME_SAMPLES, Clip, ClipInfo, ClipStore, trimmed_clip, write_shard

ROW = np.dtype([("number", "<i4")])


def clip(number: int) -> Clip:
    """Silence, some frames of noise and silence, each frame with its number."""
    rng, n_frames = np.random.default_rng(number), 20 + number
    pcm = np.zeros(n_frames * FRAME_SAMPLES, np.int16)
    pcm[5 * FRAME_SAMPLES : -3 * FRAME_SAMPLES] = rng.integers(-9000, 9000, (n_frames - 8) * FRAME_SAMPLES)
    info = ClipInfo(f"Number {number}.", "parallel", "slt", "train", [[0, 40], [40, 9999]])
    return trimmed_clip(info, pcm, np.arange(n_frames, dtype="<i4").view(ROW))


def test_silence_goes_and_words_and_track_move_along() -> None:
    made = clip(0)
    assert len(made.pcm) == 12 * FRAME_SAMPLES
    assert made.track is not None
    assert made.track["number"].tolist() == list(range(5, 17))
    assert made.info.words_ms == [[0, 15], [15, 60]]


def test_a_store_gives_back_clips_and_their_tracks(tmp_path: Path) -> None:
    write_shard(
        tmp_path, "train-espeak-000", [Clip(ClipInfo("Hi.", "espeak", "en", "train", []), np.ones(9, np.int16))]
    )
    write_shard(tmp_path, "train-parallel-000", (clip(number) for number in range(3)))
    store = ClipStore(tmp_path)
    assert store.clip(0).track is None
    for number, index in enumerate(store.select("train", ("parallel",))):
        found, made = store.clip(index), clip(number)
        np.testing.assert_array_equal(found.pcm, made.pcm)
        assert found.track is not None
        np.testing.assert_array_equal(found.track, made.track)
        assert found.info == made.info
