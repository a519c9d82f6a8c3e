"""Is what a window says worth keeping? By OpenAI's definitions and thresholds.

In go a window's numbers, out comes a verdict. Knows nothing about where the numbers come from.
"""

from __future__ import annotations

NO_SPEECH_THRESHOLD = 0.6
LOGPROB_THRESHOLD = -1.0


def is_no_speech(no_speech_probability: float, mean_logprob: float) -> bool:
    """True when a window says nothing and its text is an invention.

    Both must hold, as in OpenAI's transcribe: the model expected silence, and it was unsure of what it wrote. The
    probability alone is not enough however high it is: models trained on noisy captions give 0.99 to clear speech
    after music, and a lost sentence is worse than an invented one.
    """
    return no_speech_probability > NO_SPEECH_THRESHOLD and mean_logprob < LOGPROB_THRESHOLD
