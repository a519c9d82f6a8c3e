// Transcript → the words of its cues: their times, the names of speakers, and where a cue may begin.
// Follows src/asr_api/formats/cue_words.py.
//
// A segment without word timestamps is divided into words whose times are in proportion to their columns.

import { isBlank, joinWords, strip } from "./blanks.js";
import { numColumns, unbreakableParts } from "./line_breaks.js";
import { endsClause, endsSentence } from "./sentences.js";

const SEGMENT_PAUSE_MS = 200; // between segments; less is between any words
const MIN_PAUSE_MS = 500;
const MAX_PAUSE_MS = 2000; // inside a cue; a longer one would show words long before they are spoken

// What it costs to begin a cue at a word; `cues.js` weighs it against cues of uneven length.
export const AFTER_SENTENCE = 0;
export const AFTER_CLAUSE = 1;
export const AT_PAUSE = 2;
export const BETWEEN_WORDS = 4;

/**
 * The words of all segments.
 * @param {number} maxColumns of a line; in scripts without spaces a longer word is divided
 */
export function cueWords(segments, maxColumns) {
  const words = [];
  let before = { startMs: 0, endMs: 0, text: " " };
  let speaker = null;
  for (const segment of segments) {
    let isFirst = true; // of its segment
    for (const word of wordsOf(segment, maxColumns)) {
      if (isBlank(word.text)) {
        before = { ...before, text: `${before.text} ` };
        continue;
      }
      if (isFirst && segment.speaker !== speaker) {
        speaker = segment.speaker;
        words.push(...firstOfSpeaker(word, speaker, maxColumns));
      } else {
        words.push(cueWord(before, word, isFirst));
      }
      [before, isFirst] = [word, false];
    }
  }
  return words;
}

// A corrected segment may have no text left, and then it has no words.
function* wordsOf(segment, maxColumns) {
  const hasWords = segment.words.length > 0;
  for (const word of hasWords ? segment.words : [segment]) {
    if (hasWords && word.text !== "" && numColumns(strip(word.text)) <= maxColumns) {
      yield word;
    } else {
      yield* divided(word);
    }
  }
}

// Its parts, whose times are estimated.
function* divided(timed) {
  const parts = unbreakableParts(timed.text);
  const columns = [0];
  for (const part of parts) {
    columns.push(columns.at(-1) + Math.max(1, numColumns(part)));
  }
  const lengthMs = timed.endMs - timed.startMs;
  const timesMs = columns.map((column) => timed.startMs + Math.floor((lengthMs * column) / columns.at(-1)));
  for (const [index, text] of parts.entries()) {
    yield { startMs: timesMs[index], endMs: timesMs[index + 1], text };
  }
}

// isFirst: of its segment
function cueWord(before, word, isFirst) {
  const text = joinWords(word.text);
  const pauseMs = word.startMs - before.endMs;
  const isCueStart = pauseMs >= (isFirst ? SEGMENT_PAUSE_MS : MAX_PAUSE_MS);
  let breakCost = BETWEEN_WORDS;
  if (isCueStart || endsSentence(before.text, text)) {
    breakCost = AFTER_SENTENCE;
  } else if (endsClause(before.text)) {
    breakCost = AFTER_CLAUSE;
  } else if (isFirst || pauseMs >= MIN_PAUSE_MS) {
    breakCost = AT_PAUSE;
  }
  const hasSpace = isBlank(before.text.slice(-1)) || isBlank(word.text.slice(0, 1));
  return makeCueWord(word, text, { hasSpace, breakCost, isCueStart });
}

// With the speaker's name, which is a word of its own if it does not fit on a line with the first word.
function firstOfSpeaker(word, speaker, maxColumns) {
  let texts = [joinWords(word.text)];
  const name = joinWords(speaker ?? "");
  if (name !== "") {
    const prefixed = `${name}: ${texts[0]}`;
    texts = numColumns(prefixed) <= maxColumns ? [prefixed] : [`${name}:`, ...texts];
  }
  const usual = { hasSpace: true, breakCost: BETWEEN_WORDS, isCueStart: false };
  const [first, ...rest] = texts.map((text) => makeCueWord(word, text, usual));
  return [{ ...first, breakCost: AFTER_SENTENCE, isCueStart: true }, ...rest];
}

function makeCueWord({ startMs, endMs }, text, { hasSpace, breakCost, isCueStart }) {
  return { startMs, endMs, text, numColumns: numColumns(text), hasSpace, breakCost, isCueStart };
}
