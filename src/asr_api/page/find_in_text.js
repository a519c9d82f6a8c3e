// Find and replace in the open transcript.

import { element } from "./element.js";
import { highlight, liveRange } from "./highlights.js";
import { t } from "./interface_language.js";
import { leadingBlanks, shownText, withText } from "./transcript.js";

/** Places of a text in segments, whatever its case: `{index, start, end}` in the shown text. */
export function placesOf(segments, wanted) {
  const places = [];
  if (!wanted.trim()) return places;
  const pattern = new RegExp(RegExp.escape?.(wanted) ?? wanted.replace(/[\\^$.*+?()[\]{}|]/gu, "\\$&"), "giu");
  segments.forEach((segment, index) => {
    if (segment.omitted) return;
    for (const match of shownText(segment).matchAll(pattern)) {
      places.push({ index, start: match.index, end: match.index + match[0].length });
    }
  });
  return places;
}

/** The text of a segment with all places replaced. */
export function replaced(segment, places, replacement) {
  let text = shownText(segment);
  for (const { start, end } of [...places].reverse()) text = text.slice(0, start) + replacement + text.slice(end);
  return withText(segment, text);
}

export class FindBar {
  #places = [];
  #current = -1;

  constructor(segmentList, getOpen) {
    Object.assign(this, { segmentList, getOpen });
    element("find-button").addEventListener("click", () => this.show());
    element("find-close").addEventListener("click", () => this.hide());
    element("find-input").addEventListener("input", () => this.search());
    element("find-next").addEventListener("click", () => this.go(1));
    element("find-previous").addEventListener("click", () => this.go(-1));
    element("replace-all").addEventListener("click", () => this.replaceAll());
    element("find-bar").addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.hide();
      if (event.key !== "Enter" || event.target.matches("button")) return;
      event.preventDefault();
      this.go(event.shiftKey ? -1 : 1);
    });
  }

  get isShown() {
    return !element("find-bar").hidden;
  }

  show() {
    element("find-bar").hidden = false;
    element("find-input").focus();
    element("find-input").select();
    this.search();
  }

  hide() {
    element("find-bar").hidden = true;
    for (const name of ["found", "found-now"]) highlight(name, []);
    const place = this.#places[this.#current];
    if (place) this.segmentList.focus(place.index, place.start);
  }

  search() {
    if (!this.isShown || !this.getOpen()) return;
    this.#places = placesOf(this.getOpen().segments, element("find-input").value);
    this.#current = -1;
    this.#show();
  }

  go(step) {
    if (!this.#places.length) return;
    const num = this.#places.length;
    this.#current = this.#current < 0 && step < 0 ? num - 1 : (this.#current + step + num) % num;
    this.#show();
    const range = this.#range(this.#places[this.#current]);
    this.segmentList.item(this.#places[this.#current].index).scrollIntoView({ block: "nearest" });
    scrollBy({ top: liveRange(range).getBoundingClientRect().top - innerHeight / 2 });
  }

  replaceAll() {
    const open = this.getOpen();
    if (!this.#places.length || open.transcript.state === "running") return;
    const byIndex = Map.groupBy(this.#places, (place) => place.index);
    const indices = [...byIndex.keys()];
    const [first, last] = [indices[0], indices.at(-1)];
    const changed = open.segments.slice(first, last + 1).map((segment, offset) => {
      const places = byIndex.get(first + offset);
      return places ? replaced(segment, places, element("replace-input").value) : segment;
    });
    open.splice(first, changed.length, changed, "replace");
    this.search();
  }

  #range({ index, start, end }) {
    const lead = leadingBlanks(this.getOpen().segments[index]).length;
    return this.segmentList.range(index, start + lead, end + lead);
  }

  #show() {
    const ranges = this.#places.map((place) => this.#range(place)).filter(Boolean);
    highlight("found", ranges);
    highlight("found-now", this.#current < 0 ? [] : [ranges[this.#current]]);
    const number = this.#current + 1 || "–";
    element("find-count").textContent = element("find-input").value
      ? t("foundOf", { number, total: ranges.length })
      : "";
  }
}
