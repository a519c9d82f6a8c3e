// The list of transcripts with their progress, and its search.

import { element } from "./element.js";
import { clock, date, percent, t } from "./interface_language.js";

const SEARCH_MS = 150; // after the last key

export class TranscriptList {
  #found = null; // ids that the search allows; null is all
  #timer = 0;

  /** onOpen(id) and onRemove(id) are called for buttons */
  constructor(library, { onOpen, onRemove }) {
    Object.assign(this, { library, onOpen, onRemove, openId: null });
    this.list = element("transcript-list");
    this.items = new Map(); // id → its element, so that focus and screen readers keep their place
    library.addEventListener("list", () => this.update());
    element("list-search").addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#search(), SEARCH_MS);
    });
  }

  select(id) {
    this.openId = id;
    this.update();
  }

  update() {
    const shown = this.library.list().filter(({ id }) => !this.#found || this.#found.has(id));
    const ids = new Set(shown.map(({ id }) => id));
    for (const [id, item] of this.items) {
      if (ids.has(id)) continue;
      item.remove();
      this.items.delete(id);
    }
    shown.forEach((summary, position) => {
      const item = this.items.get(summary.id) ?? this.#newItem(summary.id);
      if (this.list.children[position] !== item) this.list.insertBefore(item, this.list.children[position] ?? null);
      this.#show(item, summary);
    });
    element("list-empty").textContent = this.#found && !shown.length ? t("nothingFound") : t("listEmpty");
    element("list-empty").hidden = shown.length > 0;
  }

  async #search() {
    const words = element("list-search").value.trim().toLocaleLowerCase();
    this.#found = words ? ((await this.library.store?.search(words)) ?? new Set()) : null;
    this.update();
  }

  #newItem(id) {
    const item = element("item-template").content.firstElementChild.cloneNode(true);
    item.querySelector(".open").addEventListener("click", () => this.onOpen(id));
    item.querySelector(".remove").addEventListener("click", () => this.onRemove(id));
    this.items.set(id, item);
    return item;
  }

  #show(item, { id, title, createdMs, audioMs, state, preview }) {
    const job = this.library.entry(id)?.job;
    const [open, remove, progress] = item.children;
    item.classList.toggle("selected", id === this.openId);
    open.setAttribute("aria-current", id === this.openId);
    set(item.querySelector(".item-title"), title);
    set(
      item.querySelector(".item-detail"),
      job?.isOpen ? jobState(job) : `${date(createdMs)} · ${clock(audioMs)}${stateMark(state, job)}`,
    );
    open.title = preview;
    set(remove, "×");
    remove.setAttribute("aria-label", t("remove", { title }));
    remove.title = t("remove", { title });
    progress.hidden = !job?.isOpen;
    progress.setAttribute("aria-label", t("progressOf", { title }));
    if (job?.share == null) progress.removeAttribute("value");
    else progress.value = job.share;
  }
}

/** Unchanged text is left alone: assigning it would end a selection. */
function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function jobState(job) {
  const share = job.share == null ? "" : ` ${percent(job.share)}`;
  return `${t(`state_${job.state}`)}${share}`;
}

function stateMark(state, job) {
  if (job?.state === "failed") return ` · ${t("state_failed")}`;
  return state === "complete" ? "" : ` · ${t("incomplete")}`;
}
