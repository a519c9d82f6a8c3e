// The server's public API, as this page uses it: POST /asr with events, GET /v1/models, GET /hc; and its errors.

import { EventStream } from "./event_stream.js";
import { tabMemory } from "./preferences.js";

/** status: of HTTP, 0 without a reply; code: that of the server, or "unreachable", "broken_off", "cancelled" … */
export class ApiError extends Error {
  constructor(sentence, { status = 0, code = "unreachable", retryAfterS = 0 } = {}) {
    super(sentence);
    Object.assign(this, { status, code, retryAfterS });
  }

  /** Whether the same request can succeed later. */
  get isTemporary() {
    return [0, 429, 503].includes(this.status) && this.code !== "cancelled";
  }
}

export class ServerApi {
  #key = tabMemory.get("key") ?? "";

  get key() {
    return this.#key;
  }

  set key(key) {
    this.#key = key;
    tabMemory.set("key", key);
  }

  /** The served model: `{id, capabilities?}`; capabilities are missing while it is loaded. Throws ApiError. */
  async model() {
    const reply = await this.#get("v1/models");
    return (await reply.json()).data[0];
  }

  /** Whether the server can transcribe now. */
  async isReady() {
    try {
      await this.#get("hc");
      return true;
    } catch {
      return false;
    }
  }

  async #get(path) {
    let reply;
    try {
      reply = await fetch(path, { headers: this.#headers(), cache: "no-store" });
    } catch {
      throw new ApiError("", {});
    }
    if (!reply.ok) throw errorOf(reply.status, await reply.text(), reply.headers.get("retry-after"));
    return reply;
  }

  /**
   * Sends a file once to POST /asr with these parameters. onSent(share of the file that is uploaded, in [0, 1]),
   * onEvent(name, data) as the text comes. Resolves to the data of the event `done`; rejects with ApiError.
   */
  transcribe(file, parameters, { onSent, onEvent, signal }) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest(); // fetch does not tell how much of a body is sent
      const stream = new EventStream();
      let [numRead, end] = [0, null];
      const readEvents = () => {
        if (request.status !== 200) return;
        for (const event of stream.push(request.responseText.slice(numRead))) {
          const data = JSON.parse(event.data);
          if (event.name === "done") end = () => resolve(data);
          else if (event.name === "error")
            end = () => reject(new ApiError(data.error, { status: 500, code: data.code }));
          else onEvent(event.name, data);
        }
        numRead = request.responseText.length;
      };
      request.open("POST", `asr?${new URLSearchParams(parameters)}`);
      for (const [name, value] of Object.entries(this.#headers())) request.setRequestHeader(name, value);
      request.setRequestHeader("accept", "text/event-stream");
      request.setRequestHeader("content-type", "application/octet-stream"); // whatever the file claims to be
      request.upload.onprogress = (event) => onSent(event.loaded / event.total);
      request.upload.onload = () => onSent(1);
      request.onprogress = readEvents;
      request.onload = () => {
        readEvents();
        if (request.status !== 200)
          reject(errorOf(request.status, request.responseText, request.getResponseHeader("retry-after")));
        else (end ?? (() => reject(new ApiError("", { code: "broken_off" }))))();
      };
      request.onerror = () => reject(new ApiError("", { code: numRead ? "broken_off" : "unreachable" }));
      request.onabort = () => reject(new ApiError("", { code: "cancelled" }));
      if (signal.aborted) request.onabort();
      else request.send(file);
      signal.addEventListener("abort", () => request.abort());
    });
  }

  #headers() {
    return this.key ? { authorization: `Bearer ${this.key}` } : {};
  }
}

function errorOf(status, body, retryAfter) {
  let [sentence, code] = [`${status}: ${body.slice(0, 200)}`, "unknown"];
  try {
    const { error } = JSON.parse(body);
    [sentence, code] = error.message ? [error.message, error.code] : [error, JSON.parse(body).code];
  } catch {
    // a proxy's page: its status and its first words are shown
  }
  return new ApiError(sentence, { status, code, retryAfterS: Number(retryAfter) || 0 });
}
