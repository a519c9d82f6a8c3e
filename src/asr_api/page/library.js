// The transcripts of this browser: those that run, the open one and the stored ones; everything that changes is saved.

import { t } from "./interface_language.js";
import { OpenTranscript } from "./open_transcript.js";
import { lengthMs } from "./player.js";
import { ChangedElsewhere, summaryOf } from "./store.js";
import { indexFor, newId, newTranscript, segmentOf } from "./transcript.js";
import { Job } from "./transcription_queue.js";

const SAVE_MS = 400; // after the last change
const MAX_UNSAVED_MS = 3000; // while changes follow each other, and while text arrives

/** Emits "list" when the list changes, "saved", "saving", "copied" with a new id, and "problem" with a sentence. */
export class Library extends EventTarget {
  summaries = new Map();
  saves = Promise.resolve();
  languageNames = {}; // code → English name, as the server writes it
  #entries = new Map(); // id → {open, job, audio}: transcripts that run or were opened
  #timers = new Map(); // id → {timer of a save, sinceMs: the first change that it saves}

  /** store: null if the browser lets the page keep nothing */
  constructor(store, queue) {
    super();
    Object.assign(this, { store, queue });
    this.channel = new BroadcastChannel("asr-api");
    this.channel.addEventListener("message", () => this.load());
  }

  async load() {
    if (!this.store) return;
    const stored = new Set();
    for (const summary of await this.store.summaries()) {
      if (!this.#entries.get(summary.id)?.job?.isOpen) this.summaries.set(summary.id, summary);
      stored.add(summary.id);
    }
    for (const id of this.summaries.keys()) {
      if (!stored.has(id) && !this.#entries.has(id)) this.summaries.delete(id);
    }
    this.#emit("list");
  }

  get hasUnsaved() {
    return this.#timers.size > 0;
  }

  get isBusy() {
    return [...this.#entries.values()].some(({ job }) => job?.isOpen);
  }

  entry(id) {
    return this.#entries.get(id);
  }

  /** Newest first. */
  list() {
    return [...this.summaries.values()].sort((first, second) => second.createdMs - first.createdMs);
  }

  /** `{open, job, audio}` of a transcript, which is read from the store if need be; null if it is gone. */
  async open(id) {
    const known = this.#entries.get(id);
    if (known) return known;
    const transcript = await this.store.get(id);
    if (!transcript) return null;
    if (transcript.state === "running") transcript.state = "incomplete"; // the page was closed meanwhile
    return this.#keep(transcript, { audio: (await this.store.audio(id)) ?? null });
  }

  /** A file becomes a job and an empty transcript. Returns its id. */
  add(file, { parameters, title, keepsAudio }) {
    const transcript = newTranscript(file.name, { task: parameters.task ?? "transcribe", title });
    const entry = this.#keep(transcript, { audio: file });
    if (keepsAudio) this.#keepAudio(transcript.id, file);
    this.#save(transcript.id);
    this.#start(entry, file, parameters);
    return transcript.id;
  }

  /** Transcribes a recording again whose transcript is empty. */
  retry(id, file, parameters) {
    const entry = this.#entries.get(id);
    entry.open.set({ state: "running" });
    this.#start(entry, file, parameters);
  }

  async remove(id) {
    const { job } = this.#entries.get(id) ?? {};
    clearTimeout(this.#timers.get(id)?.timer);
    for (const map of [this.#entries, this.#timers, this.summaries]) map.delete(id);
    if (job?.isOpen) this.queue.cancel(job);
    await this.#afterSaves(() => this.store?.delete(id));
    this.#emit("list");
    this.channel.postMessage("changed");
  }

  /** Adds the transcripts of a backup that are not here, or are older here. Returns their number. */
  async import(transcripts) {
    await this.flush();
    let num = 0;
    for (const transcript of transcripts) {
      const stored = await this.store.get(transcript.id);
      if (stored && stored.changedMs >= transcript.changedMs) continue;
      await this.store.put({ ...transcript, version: stored?.version ?? 0 });
      this.#entries.delete(transcript.id);
      num += 1;
    }
    await this.load();
    return num;
  }

  async forgetAll() {
    for (const id of [...this.summaries.keys()]) await this.remove(id);
    await this.#afterSaves(() => this.store?.clear());
    this.channel.postMessage("changed");
  }

  /** All transcripts, with their last changes. */
  async all() {
    await this.flush();
    return this.store ? this.store.all() : [...this.#entries.values()].map(({ open }) => open.transcript);
  }

  /** Saves what waits to be saved. */
  flush() {
    return Promise.all([...this.#timers.keys()].map((id) => this.#save(id)));
  }

  #keep(transcript, { audio }) {
    const entry = { open: new OpenTranscript(transcript), job: null, audio };
    this.#entries.set(transcript.id, entry);
    const changed = () => {
      transcript.changedMs = Date.now();
      this.#saveSoon(transcript);
    };
    entry.open.addEventListener("change", changed);
    entry.open.addEventListener("fields", changed);
    return entry;
  }

  #start(entry, file, parameters) {
    const { open } = entry;
    const job = (entry.job = new Job(open.transcript.id, file, parameters));
    job.addEventListener("begin", () => open.clear());
    job.addEventListener("segments", ({ detail: [, data] }) => open.receive([segmentOf(data)], indexFor));
    job.addEventListener("change", () => this.#emit("list"));
    job.addEventListener("end", () => this.#end(entry, job));
    lengthMs(file).then((audioMs) => job.set({ audioMs }));
    this.queue.add(job);
    this.#emit("list");
  }

  #end({ open }, job) {
    const { id } = open.transcript;
    if (!this.#entries.has(id)) return; // it was removed
    if (job.state === "cancelled" && !open.segments.length) return this.remove(id);
    const { language = null, duration = job.doneMs / 1000, truncated, damaged } = job.result ?? {};
    open.set({
      state: job.state === "done" ? "complete" : "incomplete",
      language: job.parameters.task === "translate" ? "en" : language,
      languageName: this.languageNames[language] ?? "",
      audioMs: Math.round(duration * 1000),
      note: truncated ? "truncated" : damaged ? "damaged" : "",
    });
    this.#save(id);
  }

  async #keepAudio(id, file) {
    try {
      await this.store?.putAudio(id, file);
    } catch {
      this.#problem(t("audioNotKept"));
    }
  }

  #saveSoon(transcript) {
    const { id } = transcript;
    const { timer, sinceMs = Date.now() } = this.#timers.get(id) ?? {};
    clearTimeout(timer);
    const waitMs = transcript.state === "running" ? MAX_UNSAVED_MS : SAVE_MS;
    const leftMs = Math.max(0, Math.min(waitMs, sinceMs + MAX_UNSAVED_MS - Date.now()));
    this.#timers.set(id, { timer: setTimeout(() => this.#save(id), leftMs), sinceMs });
    this.#emit("saving");
  }

  /** Saves one after the other: each counts a version up. */
  #save(id) {
    clearTimeout(this.#timers.get(id)?.timer);
    return this.#afterSaves(() => this.#put(this.#entries.get(id)?.open.transcript));
  }

  #afterSaves(action) {
    const done = this.saves.then(action);
    this.saves = done.catch(() => {}); // its caller knows
    return done;
  }

  async #put(transcript) {
    if (!transcript) return; // it was removed
    this.#timers.delete(transcript.id);
    this.summaries.set(transcript.id, summaryOf(transcript));
    try {
      await this.store?.put(transcript);
      this.channel.postMessage("changed");
      this.#emit("saved");
    } catch (error) {
      if (error instanceof ChangedElsewhere) this.#saveCopy(transcript);
      else this.#problem(t("notSaved", { reason: error.message }));
    }
    this.#emit("list");
  }

  /** The other tab's version stays under its id. */
  #saveCopy(transcript) {
    const entry = this.#entries.get(transcript.id);
    this.#entries.delete(transcript.id);
    Object.assign(transcript, { id: newId(), version: 0 });
    this.#entries.set(transcript.id, entry);
    entry.open.set({ title: `${transcript.title} (2)` });
    this.#problem(t("changedElsewhere", { title: transcript.title }));
    this.dispatchEvent(new CustomEvent("copied", { detail: transcript.id }));
  }

  #problem(sentence) {
    this.dispatchEvent(new CustomEvent("problem", { detail: sentence }));
  }

  #emit(type) {
    this.dispatchEvent(new Event(type));
  }
}
