// The list of segments on the page: one editable text each, kept equal to the open transcript in both directions.

import { element } from "./element.js";
import { rangeIn } from "./highlights.js";
import { clock, t } from "./interface_language.js";
import { isDoubtful, leadingBlanks, shownText } from "./transcript.js";

const copyOf = (id) => element(id).content.firstElementChild.cloneNode(true);

export class SegmentList {
  isEditable = true; // what setEditable said last

  /** open: an OpenTranscript, or null */
  constructor(list) {
    this.list = list;
    this.open = null;
  }

  show(open) {
    this.open = open;
    this.list.lang = open.transcript.language ?? "";
    this.list.replaceChildren(...this.#items(open.segments));
    this.#updateSpeakers(0, open.segments.length);
  }

  /** Follows a change of the open transcript. */
  update({ index, numRemoved, inserted, source }) {
    if (source === "typing") return this.#updateDoubts(index);
    const items = this.list.children;
    for (let count = numRemoved; count > 0; count -= 1) items[index].remove();
    const before = items[index] ?? null;
    for (const item of this.#items(inserted)) this.list.insertBefore(item, before);
    this.#updateSpeakers(index, index + inserted.length + 1);
  }

  setEditable(isEditable) {
    if (isEditable === this.isEditable) return;
    this.isEditable = isEditable;
    for (const text of this.list.querySelectorAll(".words"))
      text.contentEditable = isEditable ? "plaintext-only" : "false";
  }

  indexOf(element) {
    const item = element.closest?.("#segments > li");
    return item ? [...this.list.children].indexOf(item) : -1;
  }

  item(index) {
    return this.list.children[index];
  }

  /** The element with the text of a segment. */
  textOf(index) {
    return this.item(index)?.querySelector(".words, .omitted-text");
  }

  /** Characters [start, end) of the whole text of a segment, its leading blanks included, as a static range. */
  range(index, start, end) {
    const lead = leadingBlanks(this.open.segments[index]).length;
    return rangeIn(this.textOf(index), Math.max(0, start - lead), Math.max(0, end - lead));
  }

  /** Puts the caret into a segment. offset: in the shown text; negative counts from its end */
  focus(index, offset = 0) {
    const element = this.textOf(index);
    if (!element?.isContentEditable) return;
    element.focus();
    const text = element.firstChild ?? element;
    getSelection().collapse(
      text,
      Math.max(0, Math.min(text.length ?? 0, offset < 0 ? (text.length ?? 0) + 1 + offset : offset)),
    );
  }

  /** Ranges of all doubtful words, and their places. */
  doubts() {
    const found = [];
    this.open.segments.forEach((segment, index) => {
      if (segment.omitted) return;
      for (const [start, end] of doubtfulParts(segment))
        found.push({ index, start, end, range: this.range(index, start, end) });
    });
    return found.filter((doubt) => doubt.range);
  }

  #items(segments) {
    return segments.map((segment) => (segment.omitted ? omittedItem(segment) : segmentItem(segment, this.isEditable)));
  }

  #updateDoubts(index) {
    const note = this.item(index).querySelector(".doubts");
    if (note) note.hidden = !this.open.segments[index].doubts.length;
  }

  /** The name of a speaker stands where it changes. */
  #updateSpeakers(from, to) {
    const { segments } = this.open;
    for (let index = from; index < Math.min(to, segments.length); index += 1) {
      const button = this.item(index).querySelector(".speaker");
      if (button) showSpeaker(button, segments[index], segments[index - 1]);
    }
  }
}

function segmentItem(segment, isEditable) {
  const item = copyOf("segment-template");
  const [time, , text, doubts] = item.children;
  const label = clock(segment.startMs);
  time.textContent = label;
  time.setAttribute("aria-label", t("playFrom", { time: label }));
  text.textContent = shownText(segment);
  text.setAttribute("aria-label", t("textAt", { time: label }));
  if (!isEditable) text.contentEditable = "false";
  if (segment.doubts.length) {
    doubts.hidden = false;
    doubts.textContent = segment.doubts.map((doubt) => t(`doubt_${doubt}`)).join(" ");
  }
  return item;
}

function showSpeaker(button, segment, before) {
  button.textContent = segment.speaker ?? t("addSpeaker");
  button.className = segment.speaker ? "speaker" : "speaker none";
  if (segment.speaker && before?.speaker === segment.speaker) button.classList.add("same");
}

function omittedItem(segment) {
  const item = copyOf("omitted-template");
  const [time, text, insert] = item.children;
  const label = clock(segment.startMs);
  time.textContent = label;
  time.setAttribute("aria-label", t("playFrom", { time: label }));
  text.textContent = segment.text.trim() ? t("omitted", { text: segment.text.trim() }) : t("withoutText");
  insert.textContent = segment.text.trim() ? t("insert") : t("write");
  return item;
}

/** [start, end) of each doubtful word without its blanks; the whole text of a doubtful segment. */
function doubtfulParts(segment) {
  if (segment.doubts.length || !segment.words.length) {
    return segment.doubts.length ? [[leadingBlanks(segment).length, segment.text.trimEnd().length]] : [];
  }
  const parts = [];
  let offset = 0;
  for (const word of segment.words) {
    const end = offset + word.text.length;
    if (isDoubtful(segment, word))
      parts.push([offset + leadingBlanks(word).length, offset + word.text.trimEnd().length]);
    offset = end;
  }
  return parts.filter(([start, end]) => end > start);
}
