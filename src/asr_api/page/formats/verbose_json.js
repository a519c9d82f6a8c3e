// Transcript → the JSON of OpenAI's audio API, `verbose_json`, with segments, words and the speakers of segments.
// Follows `verbose_json` of src/asr_api/formats/openai_json.py.

import { strip } from "./blanks.js";

// The figures of the decoder are not known here: clients need numbers.
const UNKNOWN_QUALITY = { temperature: 0, avg_logprob: 0, compression_ratio: 0, no_speech_prob: 0 };

/**
 * `{"task", "language", "language_code", "duration", "text", "segments", "words", "usage"}`.
 *
 * language: in English, of the text; empty when it is not known. A translation is in English.
 */
export function verboseJson(transcript) {
  const isTranslation = transcript.task === "translate";
  return JSON.stringify({
    task: transcript.task,
    language: (isTranslation ? "english" : transcript.languageName) ?? "",
    language_code: isTranslation ? "en" : transcript.language,
    duration: seconds(transcript.audioMs),
    text: strip(transcript.segments.map((segment) => segment.text).join("")),
    segments: transcript.segments.map(segmentJson),
    words: transcript.segments.flatMap((segment) => segment.words).map(wordJson),
    usage: { type: "duration", seconds: seconds(transcript.audioMs) },
  });
}

// All ten fields, and the speaker if there is one. There are no tokens for a corrected text.
function segmentJson(segment, index) {
  return {
    id: index,
    seek: 0,
    start: seconds(segment.startMs),
    end: seconds(segment.endMs),
    text: segment.text,
    tokens: [],
    ...UNKNOWN_QUALITY,
    ...(segment.speaker ? { speaker: segment.speaker } : {}),
  };
}

function wordJson(word) {
  return { word: strip(word.text), start: seconds(word.startMs), end: seconds(word.endMs) };
}

function seconds(timeMs) {
  return timeMs / 1000;
}
