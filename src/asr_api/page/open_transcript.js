// The transcript that is open: changes of its segments as splices, with undo and redo.

const MAX_CHANGES = 500; // that can be undone
const TYPING_MS = 1000; // characters that follow each other faster are undone together

/** Emits "change" with `{index, numRemoved, inserted, source}` for each splice; source: "typing", "undo" and so on. */
export class OpenTranscript extends EventTarget {
  #undo = [];
  #redo = [];

  constructor(transcript) {
    super();
    this.transcript = transcript;
  }

  get segments() {
    return this.transcript.segments;
  }

  get canUndo() {
    return this.#undo.length > 0;
  }

  get canRedo() {
    return this.#redo.length > 0;
  }

  /** Replaces segments; it can be undone. */
  splice(index, numRemoved, inserted, source = "edit") {
    const removed = this.segments.slice(index, index + numRemoved);
    const last = this.#undo.at(-1);
    const isMore =
      source === "typing" &&
      last?.source === "typing" &&
      last.index === index &&
      last.inserted.length === 1 &&
      Date.now() - last.atMs < TYPING_MS;
    if (isMore) Object.assign(last, { inserted, atMs: Date.now() });
    else this.#undo.push({ index, removed, inserted, source, atMs: Date.now() });
    if (this.#undo.length > MAX_CHANGES) this.#undo.shift();
    this.#redo = [];
    this.#change(index, numRemoved, inserted, source);
  }

  undo() {
    const change = this.#undo.pop();
    if (!change) return;
    this.#redo.push(change);
    this.#change(change.index, change.inserted.length, change.removed, "undo");
  }

  redo() {
    const change = this.#redo.pop();
    if (!change) return;
    this.#undo.push(change);
    this.#change(change.index, change.removed.length, change.inserted, "redo");
  }

  /** Segments of a transcription that runs; they cannot be undone. */
  receive(segments, indexFor) {
    for (const segment of segments) this.#change(indexFor(this.segments, segment), 0, [segment], "server");
  }

  /** Before a transcription begins anew. */
  clear() {
    this.#undo = this.#redo = [];
    if (this.segments.length) this.#change(0, this.segments.length, [], "server");
  }

  /** Other fields, such as the title. */
  set(fields) {
    Object.assign(this.transcript, fields);
    this.dispatchEvent(new CustomEvent("fields", { detail: fields }));
  }

  #change(index, numRemoved, inserted, source) {
    this.segments.splice(index, numRemoved, ...inserted);
    this.dispatchEvent(new CustomEvent("change", { detail: { index, numRemoved, inserted, source } }));
  }
}
