// The browser's own store (IndexedDB): transcripts, a summary of each for the list, and recordings that are kept.

const NAME = "asr-api";
const STORES = ["transcripts", "summaries", "audio", "recording"];
const PREVIEW_CHARS = 160;

/** Another tab has saved a newer version of the transcript. */
export class ChangedElsewhere extends Error {}

export async function openStore() {
  const opening = indexedDB.open(NAME, 1);
  opening.onupgradeneeded = () => {
    for (const name of STORES)
      opening.result.createObjectStore(name, name === "recording" ? { autoIncrement: true } : {});
  };
  return new Store(await result(opening));
}

class Store {
  constructor(database) {
    this.database = database;
    database.onversionchange = () => database.close();
  }

  /** Newest first: `{id, title, createdMs, audioMs, state, preview}`. */
  async summaries() {
    const all = await result(this.#from("summaries").getAll());
    return all.sort((first, second) => second.createdMs - first.createdMs);
  }

  get(id) {
    return result(this.#from("transcripts").get(id));
  }

  all() {
    return result(this.#from("transcripts").getAll());
  }

  /** Ids of the transcripts whose title or text contains the words. */
  async search(words) {
    const found = new Set();
    const isMatch = ({ title, segments }) =>
      `${title}\n${segments.map((segment) => segment.text).join("")}`.toLocaleLowerCase().includes(words);
    const request = this.#from("transcripts").openCursor();
    return new Promise((resolve, reject) => {
      request.onerror = () => reject(request.error);
      request.onsuccess = () => {
        const cursor = request.result;
        if (!cursor) return resolve(found);
        if (isMatch(cursor.value)) found.add(cursor.key);
        cursor.continue();
      };
    });
  }

  /** Saves a transcript and counts its version up. Throws ChangedElsewhere, or the browser's error when it is full. */
  async put(transcript) {
    const transaction = this.database.transaction(["transcripts", "summaries"], "readwrite");
    const [transcripts, summaries] = ["transcripts", "summaries"].map((name) => transaction.objectStore(name));
    const stored = await result(transcripts.get(transcript.id));
    if (stored && stored.version > transcript.version) throw new ChangedElsewhere();
    const version = transcript.version + 1;
    transcripts.put({ ...transcript, version }, transcript.id);
    summaries.put(summaryOf(transcript), transcript.id);
    await done(transaction);
    transcript.version = version;
  }

  async delete(id) {
    const transaction = this.database.transaction(["transcripts", "summaries", "audio"], "readwrite");
    for (const name of ["transcripts", "summaries", "audio"]) transaction.objectStore(name).delete(id);
    await done(transaction);
  }

  audio(id) {
    return result(this.#from("audio").get(id));
  }

  putAudio(id, blob) {
    return result(this.#from("audio", "readwrite").put(blob, id));
  }

  /** Parts of a recording from the microphone, kept while it runs, in case that the tab is closed. */
  addPart(blob) {
    return result(this.#from("recording", "readwrite").add(blob));
  }

  parts() {
    return result(this.#from("recording").getAll());
  }

  forgetParts() {
    return result(this.#from("recording", "readwrite").clear());
  }

  async clear() {
    const transaction = this.database.transaction(STORES, "readwrite");
    for (const name of STORES) transaction.objectStore(name).clear();
    await done(transaction);
  }

  #from(name, mode = "readonly") {
    return this.database.transaction(name, mode).objectStore(name);
  }
}

/** Of a transcript, for the list. */
export function summaryOf({ id, title, createdMs, audioMs, state, segments }) {
  let preview = "";
  for (const segment of segments) {
    if (preview.length >= PREVIEW_CHARS) break;
    if (!segment.omitted) preview += segment.text;
  }
  return { id, title, createdMs, audioMs, state, preview: preview.trim().slice(0, PREVIEW_CHARS) };
}

function result(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function done(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error);
  });
}
