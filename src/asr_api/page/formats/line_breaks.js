// Where a line of text may break, and how many columns text takes: East Asian wide characters take two.
// Follows src/asr_api/text/line_breaks.py, and text/word_splitting.py for the constants.

import { BLANKS } from "./blanks.js";
import { WIDE_RANGES } from "./east_asian_width.js";

// Thai, Lao, Burmese, Khmer, kana and CJK.
const UNSPACED =
  "\\u0e00-\\u0eff\\u1000-\\u109f\\u1780-\\u17ff\\u3005-\\u3007\\u3040-\\u30ff\\u3400-\\u9fff" +
  "\\u{20000}-\\u{3ffff}";
// OpenAI's punctuation, with the brackets and marks of other scripts.
const OPENING = "\"'“‘«¿¡([{-–—「『（《〈【";
const CLOSING = "\"'”’»)]}.。,，、!！?？:：;；…」』）》〉】";

const WORD = new RegExp(`[${BLANKS}]*[^${BLANKS}]+(?:[${BLANKS}]+$)?|[${BLANKS}]+$`, "gu");
// With the punctuation of Chinese and Japanese.
const IS_UNSPACED = new RegExp(`[${UNSPACED}\\u3001-\\u303f\\uff01-\\uff60]`, "u");
const IS_SPACE = new RegExp(`[${BLANKS}]`);
const IS_MARK = /[\p{Mn}\p{Mc}\p{Me}\p{Cf}]/u;
const HAS_NO_COLUMN = /[\p{Mn}\p{Me}\p{Cf}]/u;
const IS_ASCII = /^[\0-\x7f]*$/;
// Small kana and repetition marks belong to the character before; so do some vowels of Thai and Lao, and others to the
// one after.
const NO_START = new Set(CLOSING + "ーぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ々ゝゞヽヾะาำๅๆฯະາຳຽໆຯ");
const NO_END = new Set(OPENING + "เแโใไເແໂໃໄ");

/** Columns of a terminal or a subtitle; marks above and below letters take none. */
export function numColumns(text) {
  if (IS_ASCII.test(text)) {
    return text.length;
  }
  let sum = 0;
  for (const character of text) {
    sum += numColumnsOf(character);
  }
  return sum;
}

/**
 * The parts of a text between which a line may break; they join to the text.
 *
 * They are its words with the blanks before them, and in scripts without spaces its characters with their punctuation.
 */
export function unbreakableParts(text) {
  return (text.match(WORD) ?? []).flatMap(splitWord);
}

function splitWord(word) {
  const parts = [];
  let last = "";
  for (const character of word) {
    if (last === "" || mayBreak(last, character)) {
      parts.push(character);
    } else {
      parts[parts.length - 1] += character;
    }
    last = character;
  }
  return parts;
}

// Between the last character of a line and the first one of the next, which no blank separates.
function mayBreak(last, first) {
  if (IS_SPACE.test(last) || IS_SPACE.test(first) || !(IS_UNSPACED.test(last) || IS_UNSPACED.test(first))) {
    return false;
  }
  return !IS_MARK.test(first) && !NO_START.has(first) && !NO_END.has(last);
}

function numColumnsOf(character) {
  if (HAS_NO_COLUMN.test(character)) {
    return 0;
  }
  return isWide(character.codePointAt(0)) ? 2 : 1;
}

function isWide(codePoint) {
  let [low, high] = [0, WIDE_RANGES.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const [first, last] = WIDE_RANGES[middle];
    if (codePoint < first) {
      high = middle;
    } else if (codePoint > last) {
      low = middle + 1;
    } else {
      return true;
    }
  }
  return false;
}
