// Transcript → cues: short lines, divided where sentences, clauses and pauses end, shown long enough to be read.
// Follows src/asr_api/formats/cues.py.

import { stripStart } from "./blanks.js";
import { AFTER_SENTENCE, BETWEEN_WORDS, cueWords } from "./cue_words.js";

const MAX_CUE_MS = 7000;
const MIN_CUE_MS = 1000;
const MS_PER_COLUMN = 50; // to read it: 20 letters or 10 Chinese characters a second

const MIN_COLUMNS = 8; // a cue with less text looks left over
const LEFT_OVER_COST = BETWEEN_WORDS;
const TOO_SHORT_COST = 2 * BETWEEN_WORDS; // of a cue that the next one follows before it can be read
const OPEN_SENTENCE_COST = 2; // of a cue with the end of a sentence and the beginning of another, which it does not end
const LINE_BREAK_SHARE = 0.05; // of the cost of a new cue at that word
const LINE_COST = 1000; // more than all other costs of the lines of a cue: no more lines than needed

/** In order, 1 ms to 7 s long, none over another. Their words are those of the transcript, and names of speakers. */
export function cues(transcript, options) {
  const words = cueWords(transcript.segments, options.maxLineWidth);
  const groups = cheapestDivision(words, (first) => possibleCues(words, first, options));
  const startsMs = [];
  for (const group of groups) {
    startsMs.push(Math.max(group[0].startMs, startsMs.length > 0 ? startsMs.at(-1) + 1 : 0));
  }
  const audioEndMs = words.length > 0 ? Math.max(transcript.audioMs, words.at(-1).endMs, startsMs.at(-1) + 1) : 0;
  const nextMs = [...startsMs.slice(1), audioEndMs];
  return groups.map((group, index) => ({
    startMs: startsMs[index],
    endMs: endMs(group, startsMs[index], nextMs[index]),
    lines: linesOf(group, options),
  }));
}

// The division into parts whose costs have the least sum. `partsFrom` gives the parts that begin with a word: the index
// after the last word, and the cost of each.
function cheapestDivision(words, partsFrom) {
  const costs = [0, ...Array(words.length).fill(Infinity)]; // of the best division of the words before this one
  const starts = Array(words.length + 1).fill(0); // of its last part
  for (let first = 0; first < words.length; first += 1) {
    for (const [end, cost] of partsFrom(first)) {
      if (costs[first] + cost < costs[end]) {
        [costs[end], starts[end]] = [costs[first] + cost, first];
      }
    }
  }
  const parts = [];
  for (let end = words.length; end > 0; end = starts[end]) {
    parts.push(words.slice(starts[end], end));
  }
  return parts.reverse();
}

// A cue of this word alone, and longer ones while lines and time are left.
function* possibleCues(words, first, options) {
  const [latestMs, maxColumns] = [words[first].startMs + MAX_CUE_MS, options.maxLineWidth * options.maxLineCount];
  let [numLines, numColumns, lineStart, lineColumns] = [1, 0, first, 0];
  let openSentenceCost = 0;
  for (let index = first; index < words.length; index += 1) {
    const word = words[index];
    lineColumns += word.numColumns + (word.hasSpace && index > lineStart ? 1 : 0);
    if (!fits(lineColumns, index + 1 - lineStart, options)) {
      [numLines, lineStart, lineColumns] = [numLines + 1, index, word.numColumns];
    }
    if (index > first) {
      if (numLines > options.maxLineCount || word.endMs > latestMs || word.isCueStart) {
        return;
      }
      if (word.breakCost === AFTER_SENTENCE) {
        openSentenceCost = OPEN_SENTENCE_COST;
      }
    }
    numColumns += word.numColumns + (word.hasSpace ? 1 : 0);
    let cost = unevenness(numColumns, maxColumns) + breakCost(words, first, index + 1, openSentenceCost);
    if ((index === first || numColumns < MIN_COLUMNS) && !areSentences(words, first, index + 1)) {
      cost += LEFT_OVER_COST;
    }
    yield [index + 1, cost];
  }
}

// Of the break at the end of a cue.
function breakCost(words, first, end, openSentenceCost) {
  if (end === words.length) {
    return 0;
  }
  let cost = words[end].breakCost;
  if (cost !== AFTER_SENTENCE) {
    cost += openSentenceCost;
  }
  if (words[end].startMs - words[first].startMs < MIN_CUE_MS) {
    cost += TOO_SHORT_COST;
  }
  return cost;
}

// Whether these words begin and end as sentences do.
function areSentences(words, first, end) {
  return [first, end].every(
    (index) => index === 0 || index === words.length || words[index].breakCost === AFTER_SENTENCE,
  );
}

function linesOf(group, options) {
  const lines = cheapestDivision(group, (first) => possibleLines(group, first, options));
  return lines.map((line) => stripStart(line.map((word) => (word.hasSpace ? ` ${word.text}` : word.text)).join("")));
}

// A line of this word alone, however long, and longer lines while columns and words are left.
function* possibleLines(group, first, options) {
  let numColumns = 0;
  for (let end = first + 1; end <= group.length; end += 1) {
    const word = group[end - 1];
    numColumns += word.numColumns + (word.hasSpace && end - first > 1 ? 1 : 0);
    if (end - first > 1 && !fits(numColumns, end - first, options)) {
      return;
    }
    const cost = end < group.length ? group[end].breakCost : 0;
    yield [end, LINE_COST + unevenness(numColumns, options.maxLineWidth) + LINE_BREAK_SHARE * cost];
  }
}

// On one line.
function fits(numColumns, numWords, options) {
  return numColumns <= options.maxLineWidth && numWords <= (options.maxWordsPerLine || numWords);
}

// The sum over parts of a text is least if they are equally long, and with fewer parts.
function unevenness(numColumns, maxColumns) {
  const missing = 1 - Math.min(numColumns / maxColumns, 1);
  return missing * missing;
}

// With the last word, or when the text can be read; at most when the next cue starts.
function endMs(group, startMs, nextMs) {
  const numColumns = group.reduce((sum, word) => sum + word.numColumns, 0);
  const readableMs = startMs + Math.max(MIN_CUE_MS, MS_PER_COLUMN * numColumns);
  return Math.min(Math.max(group.at(-1).endMs, readableMs), startMs + MAX_CUE_MS, nextMs);
}
