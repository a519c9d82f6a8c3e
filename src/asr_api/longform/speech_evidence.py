"""Speech evidence: text for audio in which nobody speaks is omitted, or doubted, by the weight of all that is known.

Witnesses are the speech detector, the model's own no-speech probability and log-probability, the prompt, the language
and the script of the text. None of them decides alone: a detector is deaf to some speech, and models are sure of some
inventions. docs/measurements.md has the curve of the thresholds.
"""

from __future__ import annotations

from dataclasses import replace

from asr_api.audio.vad.speech_activity import SpeechActivity
from asr_api.text.scripts import is_other_script
from asr_api.transcript import Quality, Segment, WindowTranscript

# Below the first number (strongest speech), text is omitted unless its no-speech probability is below the second and
# its mean log-probability above the third.
RULES = ((0.03, 0.1, -0.6), (0.3, 0.15, -0.8))
WEAK_SPEECH = 0.3  # below it, text that is not omitted has a doubt
CLEAR_SPEECH = 0.6  # of it and above, text is believed whatever it is
MIN_SEGMENT_MS = 300  # shorter times are wrong: of a word, the audio around them is looked at
SURE_LANGUAGE = 0.5  # a language that was detected with less is a sign of noise
MIN_ECHO_CHARS = 8  # letters and digits of a text that repeats the prompt


def weigh(activity: SpeechActivity, start_ms: int, transcript: WindowTranscript, prompt: str) -> WindowTranscript:
    """The transcript, in which segments without speech are omitted and dubious ones have a doubt.

    start_ms: of the window in the piece
    prompt:   that the client gave
    """
    spoken: list[Segment] = []
    omitted = list(transcript.omitted)
    is_unsure = bool(transcript.guesses) and transcript.guesses[0].probability < SURE_LANGUAGE
    for segment in transcript.segments:
        missing_ms = max(0, MIN_SEGMENT_MS - segment.end_ms + segment.start_ms)
        strongest = activity.strongest(
            start_ms + segment.start_ms - missing_ms // 2, start_ms + segment.end_ms + missing_ms // 2
        )
        quality = segment.quality or Quality()
        is_echo = strongest < CLEAR_SPEECH and _is_echo(segment.text, prompt)
        if not any(map(str.isalnum, segment.text)) or is_echo or _is_unfounded(strongest, quality):
            omitted.append(_doubted(segment))
            continue
        is_foreign = is_unsure or is_other_script(segment.text, transcript.language)
        is_dubious = strongest < WEAK_SPEECH or (strongest < CLEAR_SPEECH and is_foreign)
        spoken.append(_doubted(segment) if is_dubious else segment)
    omitted.sort(key=lambda segment: segment.start_ms)
    return replace(transcript, segments=tuple(spoken), omitted=tuple(omitted))


def _is_unfounded(strongest: float, quality: Quality) -> bool:
    """A measure that the model does not give speaks for the text."""
    no_speech_probability, mean_logprob = quality.no_speech_probability or 0.0, quality.mean_logprob or 0.0
    return any(
        strongest < speech and not (no_speech_probability < no_speech and mean_logprob > logprob)
        for speech, no_speech, logprob in RULES
    )


def _is_echo(text: str, prompt: str) -> bool:
    key = _key(text)
    return len(key) >= MIN_ECHO_CHARS and key in _key(prompt)


def _doubted(segment: Segment) -> Segment:
    quality = segment.quality or Quality()
    if "no_speech" in quality.doubts:
        return segment
    return replace(segment, quality=replace(quality, doubts=(*quality.doubts, "no_speech")))


def _key(text: str) -> str:
    return "".join(filter(str.isalnum, text)).casefold()
