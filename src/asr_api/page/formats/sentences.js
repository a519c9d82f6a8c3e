// Ends of sentences and clauses, by their punctuation.
// Follows src/asr_api/text/sentences.py.

import { stripEnd } from "./blanks.js";

// Also of Arabic, Urdu, Hindi, Armenian, Amharic, …
const SENTENCE_ENDS = new Set(".。!！?？" + "…‥．｡؟۔।॥։።။។");
const CLAUSE_ENDS = new Set(",，、､;；:：—–،؛၊፣");
const QUOTES = new Set("\"'”’»)]}」』）》〉】");
const IS_ALNUM = /[\p{L}\p{N}]/u;
const IS_LOWER = /\p{Lowercase}/u;
const NO_WORD = "[^\\p{L}\\p{N}_]"; // Python's `\W`
const TITLE = new RegExp(`^${NO_WORD}*(?:Mr|Mrs|Ms|Dr|Hr|Prof|St)\\.$`, "u");
const INITIALS = new RegExp(`^${NO_WORD}*(?:[\\p{L}\\p{Nl}\\p{No}]\\.)+$`, "u");

/**
 * Whether a sentence ends with this word. No sentence ends before a small letter, or with "Dr." or "J.".
 * @param {string} following the next word
 */
export function endsSentence(text, following) {
  const bare = withoutQuotes(text);
  const firstLetter = following.match(IS_ALNUM)?.[0] ?? "";
  return SENTENCE_ENDS.has(bare.slice(-1)) && !IS_LOWER.test(firstLetter) && !isAbbreviation(bare);
}

/** Whether a clause ends with this word: at a comma or a dash, say, or at a full stop inside a sentence. */
export function endsClause(text) {
  const bare = withoutQuotes(text);
  return CLAUSE_ENDS.has(bare.slice(-1)) || (SENTENCE_ENDS.has(bare.slice(-1)) && !isAbbreviation(bare));
}

function withoutQuotes(text) {
  let bare = stripEnd(text);
  while (QUOTES.has(bare.slice(-1))) {
    bare = bare.slice(0, -1);
  }
  return bare;
}

function isAbbreviation(bare) {
  const hasCases = bare.toLowerCase() !== bare.toUpperCase();
  return TITLE.test(bare) || (hasCases && INITIALS.test(bare));
}
