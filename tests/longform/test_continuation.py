"""Continuation: which rest of a window is transcribed again."""

from __future__ import annotations

import numpy as np
import pytest

from asr_api.audio.window_cutter import Window
from asr_api.longform.continuation import MAX_LEAD_MS, find_resume_ms
from asr_api.pcm import SAMPLES_PER_MS, Pcm
from asr_api.transcript import Segment, WindowSpan, WindowTranscript
from tests.audio.test_window_cutter import noise, speech


@pytest.mark.parametrize(
    ("following", "expected"),
    [
        (speech([0.4] * 4, [0.2] * 4), True),
        (speech([0.4] * 4, [0.2] * 4, level=4_000.0), True),
        (speech([0.4] * 4, [0.2] * 4, level=400.0), False),  # another speaker, far away
        (speech([0.2], [5.0]), False),  # a cough
        (noise(5.0, 300.0), False),
        (np.zeros(0, np.int16), False),
    ],
)
def test_a_rest_with_enough_loud_speech_is_resumed(following: Pcm, expected: bool) -> None:
    before = speech([0.4] * 10, [0.2] * 10)
    pcm, end_ms = np.concatenate([before, following]), len(before) // SAMPLES_PER_MS
    window = Window(WindowSpan(0, 0, len(pcm) // SAMPLES_PER_MS), pcm)
    resume_ms = find_resume_ms(window, WindowTranscript((Segment(0, end_ms, " text"),)))
    assert (resume_ms is not None) == expected
    assert resume_ms is None or end_ms - MAX_LEAD_MS <= resume_ms < len(pcm) // SAMPLES_PER_MS
    assert find_resume_ms(window, WindowTranscript(())) is None
