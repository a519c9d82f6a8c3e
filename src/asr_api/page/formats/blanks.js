// Blanks as Python sees them: `str.isspace`, `strip` and `split`. JavaScript's `\s` and `trim` know other characters.

/** The inside of a character class of a regular expression. */
export const BLANKS = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

const ALL_BLANK = new RegExp(`^[${BLANKS}]+$`);
const LEADING = new RegExp(`^[${BLANKS}]+`);
const BLANK = new RegExp(`[${BLANKS}]`);
const RUNS = new RegExp(`[${BLANKS}]+`);

/** Whether a text is blanks alone; false for an empty text. */
export function isBlank(text) {
  return ALL_BLANK.test(text);
}

/** The text without blanks at its end. No pattern, which would try again at each blank of a long run. */
export function stripEnd(text) {
  let end = text.length;
  while (end > 0 && BLANK.test(text[end - 1])) {
    end -= 1;
  }
  return text.slice(0, end);
}

/** The text without blanks at its beginning. */
export function stripStart(text) {
  return text.replace(LEADING, "");
}

/** The text without blanks around it. */
export function strip(text) {
  return stripStart(stripEnd(text));
}

/** The text with one space for each run of blanks, and none around it: Python's `" ".join(text.split())`. */
export function joinWords(text) {
  return strip(text).split(RUNS).join(" ");
}
