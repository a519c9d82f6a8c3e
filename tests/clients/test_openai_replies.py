"""OpenAI's Python client gets what it asks for: formats, granularities, streams and log-probabilities."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.audio import Transcription, TranscriptionVerbose, Translation, TranslationVerbose

from tests.clients.openai_calls import Kind, transcribe, translate
from tests.product.samples import SAMPLES
from tests.server.running import Server, wav

pytestmark = [pytest.mark.clients, pytest.mark.parametrize("kind", ["sync", "async"])]

AUDIO = wav(7, 42)
LONG = wav(*range(1, 100))  # of several pieces
HELLO = (SAMPLES / "hello.wav").read_bytes()
HELLO_TEXT = "Hello world. It is half past seven."


def test_json_has_the_text_the_language_and_the_length(kind: Kind, scripted: Server) -> None:
    reply = transcribe(kind, scripted, AUDIO)
    assert isinstance(reply, Transcription)
    assert (reply.text, reply.logprobs) == ("7 42", None)
    assert [language.code for language in reply.languages or []] == ["en"]
    assert reply.usage is not None
    assert reply.usage.to_dict() == {"type": "duration", "seconds": 2.0}


def test_text_and_subtitles_are_strings(kind: Kind, scripted: Server) -> None:
    assert transcribe(kind, scripted, AUDIO, response_format="text") == "7 42\n"
    assert transcribe(kind, scripted, AUDIO, response_format="srt").startswith("1\n00:00:00,000 --> 00:00:0")
    assert transcribe(kind, scripted, AUDIO, response_format="vtt").startswith("WEBVTT\n\n00:00:00.000 --> 00:00:0")


@pytest.mark.parametrize(
    ("granularities", "num_segments", "num_words"),
    [(None, 2, None), (["segment"], 2, None), (["word"], None, 2), (["word", "segment"], 2, 2)],
)
def test_verbose_json_has_the_granularities_that_are_asked_for(
    kind: Kind, scripted: Server, granularities: list[str] | None, num_segments: int | None, num_words: int | None
) -> None:
    more = {} if granularities is None else {"timestamp_granularities": granularities}
    reply = transcribe(kind, scripted, AUDIO, response_format="verbose_json", **more)
    assert isinstance(reply, TranscriptionVerbose)
    assert (reply.text, reply.language, reply.duration) == ("7 42", "english", 2.0)
    assert (reply.segments and len(reply.segments), reply.words and len(reply.words)) == (num_segments, num_words)
    if reply.segments:
        assert [(each.id, each.text, each.start) for each in reply.segments] == [(0, " 7", 0.0), (1, " 42", 1.0)]
    if reply.words:
        assert [(each.word, each.start) for each in reply.words] == [("7", 0.0), ("42", 1.0)]


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # what the client says of translations
def test_translations_have_the_same_formats(kind: Kind, scripted: Server) -> None:
    reply = translate(kind, scripted, AUDIO)
    assert (type(reply), reply.text) == (Translation, "7e 42e")
    verbose = translate(kind, scripted, AUDIO, response_format="verbose_json", prompt="Numbers.", temperature=0)
    assert (type(verbose), verbose.text, verbose.language) == (TranslationVerbose, "7e 42e", "english")
    assert [segment.text for segment in verbose.segments] == [" 7e", " 42e"]
    assert translate(kind, scripted, AUDIO, response_format="text") == "7e 42e\n"
    assert translate(kind, scripted, AUDIO, response_format="vtt").startswith("WEBVTT\n")


@pytest.mark.parametrize("response_format", ["json", "text"])
def test_a_stream_has_the_deltas_in_order_and_then_the_text(kind: Kind, scripted: Server, response_format: str) -> None:
    *deltas, done = transcribe(kind, scripted, LONG, stream=True, response_format=response_format)
    assert len(deltas) > 2
    assert {delta.type for delta in deltas} == {"transcript.text.delta"}
    assert done.type == "transcript.text.done"
    assert "".join(delta.delta for delta in deltas) == done.text == transcribe(kind, scripted, LONG).text
    assert done.text == " ".join(map(str, range(1, 100)))
    assert (done.usage.output_tokens, done.usage.total_tokens) == (99, done.usage.input_tokens + 99)


def test_silence_is_an_empty_text(kind: Kind, scripted: Server) -> None:
    silence = wav(pause_s=1)
    assert transcribe(kind, scripted, silence).text == ""
    assert [event.type for event in transcribe(kind, scripted, silence, stream=True)] == ["transcript.text.done"]
    assert transcribe(kind, scripted, silence, response_format="verbose_json").segments == []


def test_logprobs_are_those_of_the_text(kind: Kind, scripted: Server) -> None:
    whole = transcribe(kind, scripted, AUDIO, include=["logprobs"]).logprobs
    assert [(each.token, each.logprob) for each in whole] == [(" 7", -0.007), (" 42", -0.042)]
    *deltas, done = transcribe(kind, scripted, LONG, include=["logprobs"], stream=True)
    pieces = [each for delta in deltas for each in delta.logprobs]
    assert [piece.to_dict() for piece in pieces] == [piece.to_dict() for piece in done.logprobs]
    assert bytes(code for each in pieces for code in each.bytes).decode().strip() == done.text


@pytest.mark.parametrize(
    "strategy",
    ["auto", {"type": "server_vad"}, {"type": "server_vad", "threshold": 0.6, "silence_duration_ms": 300}],
)
def test_a_chunking_strategy_is_accepted(kind: Kind, scripted: Server, strategy: Any) -> None:
    assert transcribe(kind, scripted, AUDIO, chunking_strategy=strategy).text == "7 42"


def test_languages_and_keywords_are_arrays(kind: Kind, scripted: Server) -> None:
    reply = transcribe(kind, scripted, AUDIO, languages=["de", "fr"], keywords=["Ada", "Grace"], prompt="Names.")
    assert [language.code for language in reply.languages] == ["de"]
    verbose = transcribe(kind, scripted, AUDIO, language="fr", response_format="verbose_json")
    assert verbose.language == "french"


def test_real_weights_give_one_text_in_every_form(kind: Kind, base: Server) -> None:
    reply = transcribe(kind, base, HELLO, response_format="verbose_json", timestamp_granularities=["word"])
    assert "half past" in reply.text
    assert [word.word for word in reply.words] == reply.text.split()
    *deltas, done = transcribe(kind, base, HELLO, stream=True, include=["logprobs"])
    assert "".join(delta.delta for delta in deltas) == done.text == reply.text
    assert b"".join(bytes(each.bytes) for each in done.logprobs).decode().strip() == reply.text
