// Marks on words without changing the document, by the CSS Custom Highlight API: spoken, doubtful and found words.

const canHighlight = "highlights" in CSS;

/** name: of `::highlight(name)` in page.css */
export function highlight(name, ranges) {
  if (!canHighlight) return;
  if (ranges.length) CSS.highlights.set(name, new Highlight(...ranges));
  else CSS.highlights.delete(name);
}

/** Characters of the text of an element. Static: edits do not move it. */
export function rangeIn(element, start, end) {
  const text = element.firstChild;
  if (!text) return null;
  const [startOffset, endOffset] = [start, end].map((offset) => Math.min(offset, text.length));
  return new StaticRange({ startContainer: text, startOffset, endContainer: text, endOffset });
}

/** The same as a range that can be measured and selected. */
export function liveRange({ startContainer, startOffset, endContainer, endOffset }) {
  const range = document.createRange();
  range.setStart(startContainer, startOffset);
  range.setEnd(endContainer, endOffset);
  return range;
}
