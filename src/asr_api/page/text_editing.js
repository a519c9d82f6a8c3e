// Editing of segments: what is typed becomes a change of the open transcript; Enter divides, Backspace and Delete join.

import { joinSegments, shownText, splitSegment, withText } from "./transcript.js";

/** Connects the list of segments with `getOpen()`, the transcript that is open. onType is called as text changes. */
export function connectEditing(segmentList, { getOpen, onType }) {
  const { list } = segmentList;
  const place = (event) => {
    const index = segmentList.indexOf(event.target);
    return { index, element: segmentList.textOf(index), open: getOpen() };
  };

  list.addEventListener("input", (event) => {
    const { index, element, open } = place(event);
    if (index < 0) return;
    const text = plainText(element);
    open.splice(index, 1, [withText(open.segments[index], text)], "typing");
    onType();
  });

  list.addEventListener("beforeinput", (event) => {
    const { inputType, dataTransfer } = event;
    if (inputType.startsWith("history")) event.preventDefault(); // undo is the transcript's
    if (inputType === "insertParagraph" || inputType === "insertLineBreak") {
      // of a keyboard on a screen
      event.preventDefault();
      const { index, element, open } = place(event);
      split(segmentList, open, index, selectionIn(element)[0]);
    }
    if (!dataTransfer) return;
    event.preventDefault(); // pasted or dropped text comes in on one line
    document.execCommand("insertText", false, onOneLine(dataTransfer.getData("text/plain")));
  });

  list.addEventListener("keydown", (event) => {
    if (event.isComposing || !event.target.isContentEditable) return;
    const { index, element, open } = place(event);
    const [start, end] = selectionIn(element);
    const isCaret = start === end;
    const act = (action) => {
      event.preventDefault();
      action();
    };
    if (event.key === "Enter") act(() => split(segmentList, open, index, start));
    else if (event.key === "Backspace" && isCaret && start === 0) act(() => join(segmentList, open, index - 1));
    else if (event.key === "Delete" && isCaret && start === element.textContent.length)
      act(() => join(segmentList, open, index));
    else if (event.key === "Backspace" && event.ctrlKey && event.shiftKey)
      act(() => join(segmentList, open, index - 1));
    else if (event.key === "ArrowUp" && start === 0) act(() => segmentList.focus(nearest(segmentList, index, -1), -1));
    else if (event.key === "ArrowDown" && end === element.textContent.length)
      act(() => segmentList.focus(nearest(segmentList, index, 1)));
  });
}

/** The element's text on one line; the browser may have put several nodes or line breaks into it. */
function plainText(element) {
  for (const lineBreak of element.querySelectorAll("br")) lineBreak.replaceWith("\n");
  const text = onOneLine(element.textContent);
  if (element.childNodes.length > 1 || text !== element.textContent) {
    const [offset] = selectionIn(element);
    element.textContent = text;
    if (element.firstChild) getSelection().collapse(element.firstChild, Math.min(offset, text.length));
  }
  return text;
}

function onOneLine(text) {
  return text.trim() ? text.replace(/\s*[\r\n]\s*/gu, " ") : "";
}

/** Offsets of the selection in the element's text. */
export function selectionIn(element) {
  const selection = getSelection();
  if (!selection.rangeCount || !element.contains(selection.anchorNode)) return [0, 0];
  const range = selection.getRangeAt(0);
  const before = document.createRange();
  before.selectNodeContents(element);
  before.setEnd(range.startContainer, range.startOffset);
  const start = before.toString().length;
  return [start, start + range.toString().length];
}

/** Offset in its text node where a pointer event is; null beside text. */
export function offsetAt({ clientX, clientY }) {
  if (document.caretPositionFromPoint) return document.caretPositionFromPoint(clientX, clientY)?.offset ?? null;
  return document.caretRangeFromPoint(clientX, clientY)?.startOffset ?? null; // Safari
}

function split(segmentList, open, index, offset) {
  const parts = splitSegment(open.segments[index], offset);
  if (!parts) return;
  open.splice(index, 1, parts, "split");
  segmentList.focus(index + 1);
}

function join(segmentList, open, index) {
  const [first, second] = [open.segments[index], open.segments[index + 1]];
  if (!first || !second || first.omitted || second.omitted) return;
  const offset = shownText(first).length;
  open.splice(index, 2, [joinSegments(first, second)], "join");
  segmentList.focus(index, offset);
}

function nearest(segmentList, index, step) {
  let next = index + step;
  while (segmentList.textOf(next)?.classList.contains("omitted-text")) next += step;
  return segmentList.textOf(next) ? next : index;
}

/** Text that was left out becomes a segment; where there was none, an empty one to write into. */
export function insertOmitted(segmentList, open, index) {
  const segment = open.segments[index];
  const text = segment.text.trim() ? segment.text : " ";
  open.splice(index, 1, [{ ...segment, text, omitted: null }], "insert");
  segmentList.focus(index);
}
