// The queue of recordings to transcribe: two at a time, with progress, cancel, and retries when the server is back.

import { ApiError } from "./server_api.js";

const MAX_RUNNING = 2;
const POLL_S = 2; // whether the server is back
const MAX_BREAKS = 3; // of the connection in a row, while the server answers other requests

/**
 * One recording on its way to a transcript. state: "waiting", "uploading", "transcribing", "pausing" until the server
 * has time or is back, "done", "failed", "cancelled". Emits "begin" before each try, "segments" with `[name, data]` of
 * each event, "change", and "end".
 */
export class Job extends EventTarget {
  state = "waiting";
  sent = 0; // share of the upload
  doneMs = 0; // transcribed up to here
  audioMs = 0; // of the whole recording; 0 is unknown
  startedMs = 0; // when the first try began to transcribe
  error = null;
  retryAtMs = 0; // of the next try
  result = null;
  numBreaks = 0;
  #abort = new AbortController();

  constructor(id, file, parameters) {
    super();
    Object.assign(this, { id, file, parameters });
  }

  get isOpen() {
    return !["done", "failed", "cancelled"].includes(this.state);
  }

  /** Share of the audio that is transcribed, in [0, 1]; null while that is not known. */
  get share() {
    if (this.state === "uploading") return this.sent < 1 ? this.sent : null;
    return this.state === "transcribing" && this.audioMs && this.doneMs
      ? Math.min(1, this.doneMs / this.audioMs)
      : null;
  }

  /** Seconds until the end, as the speed so far tells; null while that is not known. */
  get leftS() {
    const elapsedS = (Date.now() - this.startedMs) / 1000;
    return this.state === "transcribing" && this.share && elapsedS > 2 ? elapsedS * (1 / this.share - 1) : null;
  }

  cancel() {
    this.#abort.abort();
  }

  set(fields) {
    Object.assign(this, fields);
    this.dispatchEvent(new Event("change"));
  }

  async run(api, onKeyNeeded) {
    this.#abort = new AbortController();
    this.set({ state: "uploading", sent: 0, doneMs: 0, error: null });
    while (this.isOpen) {
      try {
        this.set({ result: await this.#transcribe(api), state: "done" });
      } catch (error) {
        await this.#handle(error, api, onKeyNeeded);
      }
    }
    this.dispatchEvent(new Event("end"));
  }

  async #transcribe(api) {
    this.dispatchEvent(new Event("begin"));
    await this.file
      .slice(0, 1)
      .arrayBuffer()
      .catch(() => {
        throw new ApiError("", { status: -1, code: "unreadable" }); // it is a folder, or was moved or changed
      });
    return api.transcribe(this.file, this.parameters, {
      signal: this.#abort.signal,
      onSent: (sent) =>
        this.set(sent < 1 ? { state: "uploading", sent } : { state: "transcribing", sent, startedMs: Date.now() }),
      onEvent: (name, data) => {
        this.dispatchEvent(new CustomEvent("segments", { detail: [name, data] }));
        this.numBreaks = 0;
        this.set({ state: "transcribing", doneMs: Math.max(this.doneMs, Math.round(data.timestamp[1] * 1000)) });
      },
    });
  }

  /** Waits where the same request can succeed later, and ends the job otherwise. */
  async #handle(error, api, onKeyNeeded) {
    if (!(error instanceof ApiError)) throw error;
    if (error.code === "cancelled") return this.set({ state: "cancelled" });
    if (error.status === 401 && (await onKeyNeeded())) return this.set({ state: "uploading", sent: 0 });
    this.numBreaks += error.status === 0 && (await api.isReady());
    if (!error.isTemporary || this.numBreaks >= MAX_BREAKS) return this.set({ state: "failed", error });
    const waitS = Math.max(error.retryAfterS, POLL_S);
    this.set({ state: "pausing", error, retryAtMs: Date.now() + waitS * 1000 });
    await this.#sleep(waitS);
    while (error.status === 0 && !this.#abort.signal.aborted && !(await api.isReady())) {
      this.set({ retryAtMs: Date.now() + POLL_S * 1000 });
      await this.#sleep(POLL_S);
    }
    this.set(this.#abort.signal.aborted ? { state: "cancelled" } : { state: "uploading", sent: 0, error: null });
  }

  #sleep(seconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, seconds * 1000);
      this.#abort.signal.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

export class TranscriptionQueue {
  #waiting = [];
  #numRunning = 0;

  constructor(api, onKeyNeeded) {
    this.api = api;
    this.onKeyNeeded = onKeyNeeded;
  }

  add(job) {
    job.set({ state: "waiting", error: null });
    this.#waiting.push(job);
    this.#startNext();
  }

  /** Also a job that still waits. */
  cancel(job) {
    const index = this.#waiting.indexOf(job);
    if (index < 0) return job.cancel();
    this.#waiting.splice(index, 1);
    job.set({ state: "cancelled" });
    job.dispatchEvent(new Event("end"));
  }

  async #startNext() {
    if (this.#numRunning >= MAX_RUNNING || !this.#waiting.length) return;
    this.#numRunning += 1;
    try {
      await this.#waiting.shift().run(this.api, this.onKeyNeeded);
    } finally {
      this.#numRunning -= 1;
      this.#startNext();
    }
  }
}
