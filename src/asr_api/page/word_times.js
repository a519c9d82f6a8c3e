// Word times of corrected text: unchanged words keep their times, new ones share the time of those they replace.

import { numColumns, unbreakableParts } from "./formats/line_breaks.js";

/**
 * The words of a segment after its text became this one: in order, inside the segment, they join to the text. New words
 * have no probability. Text that had no words gets none.
 */
export function editedWords(segment, text) {
  const old = segment.words;
  if (!old.length && segment.text.trim()) return [];
  const ends = new Set(endsOf(unbreakableParts(text)));
  const [numHead, headChars] = keptHead(old, text, ends);
  const [numTail, tailChars] = keptTail(
    old.slice(numHead),
    text.slice(headChars),
    new Set([...ends].map((end) => end - headChars)),
  );
  const head = old.slice(0, numHead);
  const tail = numTail ? old.slice(-numTail) : [];
  const middle = unbreakableParts(text.slice(headChars, text.length - tailChars));
  const span = {
    startMs: head.at(-1)?.endMs ?? segment.startMs,
    endMs: tail[0]?.startMs ?? segment.endMs,
  };
  return [...head, ...timedMiddle(old.slice(numHead, old.length - numTail), middle, span), ...tail];
}

/** How many words at the beginning are unchanged, and their characters. */
function keptHead(words, text, ends) {
  let [num, chars, keptNum, keptChars] = [0, 0, 0, 0];
  while (num < words.length && text.startsWith(words[num].text, chars)) {
    chars += words[num].text.length;
    num += 1;
    if (chars === text.length || ends.has(chars)) [keptNum, keptChars] = [num, chars];
  }
  return [keptNum, keptChars];
}

/** The same at the end. */
function keptTail(words, text, ends) {
  let [num, chars, keptNum, keptChars] = [0, 0, 0, 0];
  while (num < words.length) {
    const word = words[words.length - 1 - num].text;
    if (!text.slice(0, text.length - chars).endsWith(word)) break;
    chars += word.length;
    num += 1;
    const start = text.length - chars;
    if (start === 0 || ends.has(start)) [keptNum, keptChars] = [num, chars];
  }
  return [keptNum, keptChars];
}

/** New texts between unchanged words; those that stand among the old ones keep their times. */
function timedMiddle(old, texts, span) {
  const timed = [];
  let [oldFrom, newFrom] = [0, 0];
  let startMs = span.startMs;
  for (const [oldIndex, newIndex] of [...longestCommon(old, texts), [old.length, texts.length]]) {
    const kept = old[oldIndex];
    const replaced = old.slice(oldFrom, oldIndex);
    const gap = {
      startMs: replaced[0]?.startMs ?? startMs,
      endMs: replaced.at(-1)?.endMs ?? kept?.startMs ?? span.endMs,
    };
    timed.push(...spread(texts.slice(newFrom, newIndex), gap));
    if (kept) timed.push({ ...kept, text: texts[newIndex] });
    [oldFrom, newFrom, startMs] = [oldIndex + 1, newIndex + 1, kept?.endMs ?? startMs];
  }
  return timed;
}

/** Texts over a stretch of time, in proportion to their columns. */
function spread(texts, { startMs, endMs }) {
  const ends = endsOf(texts, (text) => Math.max(1, numColumns(text.trim())));
  const timeAt = (columns) => startMs + Math.round(((endMs - startMs) * columns) / (ends.at(-1) ?? 1));
  return texts.map((text, index) => ({ startMs: timeAt(ends[index - 1] ?? 0), endMs: timeAt(ends[index]), text }));
}

/** Pairs of indices of a longest common subsequence; blanks do not count. */
function longestCommon(old, texts) {
  const lengths = Array.from({ length: old.length + 1 }, () => new Uint16Array(texts.length + 1));
  const isSame = (row, column) => old[row].text.trim() === texts[column].trim();
  for (let row = old.length - 1; row >= 0; row -= 1) {
    for (let column = texts.length - 1; column >= 0; column -= 1) {
      lengths[row][column] = isSame(row, column)
        ? lengths[row + 1][column + 1] + 1
        : Math.max(lengths[row + 1][column], lengths[row][column + 1]);
    }
  }
  const pairs = [];
  for (let row = 0, column = 0; row < old.length && column < texts.length;) {
    if (isSame(row, column)) pairs.push([row++, column++]);
    else if (lengths[row + 1][column] >= lengths[row][column + 1]) row += 1;
    else column += 1;
  }
  return pairs;
}

/** Sums of the sizes of the texts up to each of them. */
function endsOf(texts, sizeOf = (text) => text.length) {
  let sum = 0;
  return texts.map((text) => (sum += sizeOf(text)));
}

/** A word at a place in its text → two words; their times are in proportion to their columns. */
export function dividedWord(word, offset) {
  const texts = [word.text.slice(0, offset), word.text.slice(offset)];
  return spread(texts, word);
}
