// How recordings come in: chosen, dropped, pasted, or recorded with the microphone; and the options for them.

import { alertSentence } from "./dialogs.js";
import { element } from "./element.js";
import { clock, date, languageName, t } from "./interface_language.js";
import { endingOf, NoMicrophone, Recorder, recordingOf } from "./recorder.js";

/** Parameters of POST /asr for the next recordings. capabilities: of the model, as GET /v1/models names them */
export function chosenParameters(capabilities) {
  const parameters = {};
  if (capabilities.word_timestamps) parameters.words = "true";
  if (element("language-select").value) parameters.language = element("language-select").value;
  if (element("hotwords-input").value.trim()) parameters.hotwords = element("hotwords-input").value.trim();
  if (element("translate-check").checked) parameters.task = "translate";
  if (element("vad-check").checked) parameters.vad = "true";
  return parameters;
}

/** Options that the model does not have are not offered. */
export function showCapabilities({ languages, translation, prompts }) {
  const select = element("language-select");
  const chosen = select.value;
  const names = Object.keys(languages)
    .map((tag) => [languageName(tag), tag])
    .sort(([first], [second]) => first.localeCompare(second));
  select.replaceChildren(select.options[0], ...names.map(([name, tag]) => new Option(name, tag)));
  select.value = chosen in languages ? chosen : "";
  select.closest("label").hidden = names.length < 2;
  element("translate-check").closest("label").hidden = !translation;
  element("hotwords-input").closest("label").hidden = !prompts;
}

/** Calls onFiles(files) for recordings that are chosen, dropped or pasted anywhere on the page. */
export function connectFiles(onFiles) {
  for (const id of ["choose-button", "welcome"]) {
    element(id).addEventListener("click", () => element("file-input").click());
  }
  element("file-input").addEventListener("change", (event) => {
    onFiles([...event.target.files]);
    event.target.value = ""; // so that the same file can be chosen again
  });
  let depth = 0; // dragenter and dragleave come for every element below
  const showDrag = (step) => {
    depth = Math.max(0, depth + step);
    document.body.classList.toggle("dragging", depth > 0);
  };
  addEventListener("dragenter", () => showDrag(1));
  addEventListener("dragleave", () => showDrag(-1));
  const hasFiles = ({ dataTransfer }) => dataTransfer.types.includes("Files");
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    showDrag(-depth);
    if (!hasFiles(event)) return;
    event.preventDefault();
    onFiles([...event.dataTransfer.files]);
  });
  addEventListener("paste", (event) => {
    if (!event.clipboardData.files.length) return;
    event.preventDefault();
    onFiles([...event.clipboardData.files]);
  });
}

/** The panel of the recorder. Calls onRecording(file, title) when a recording is complete. */
export class RecorderPanel {
  constructor(store, { onRecording, onShow }) {
    Object.assign(this, { store, onRecording, onShow });
    this.recorder = new Recorder({
      onPart: (blob) => this.store?.addPart(blob).catch(() => {}), // a safeguard: all of it is in memory
      onLevel: (level, seconds) => this.#showLevel(level, seconds),
    });
    element("record-button").addEventListener("click", () => this.toggle());
    element("record-stop").addEventListener("click", () => this.#finish(true));
    element("record-discard").addEventListener("click", () => this.#finish(false));
  }

  get isRecording() {
    return this.recorder.isRecording;
  }

  async toggle() {
    if (this.isRecording) return this.#finish(true);
    try {
      await this.store?.forgetParts();
      await this.recorder.start();
    } catch (error) {
      if (!(error instanceof NoMicrophone)) throw error;
      return alertSentence(t(`microphone_${error.message}`, { origin: location.origin }));
    }
    element("record-note").textContent = t(this.recorder.lock ? "screenAwake" : "keepScreenOn");
    this.#show(true);
  }

  /** A recording that the closing of the page has cut off last time. */
  async recover() {
    const parts = (await this.store?.parts()) ?? [];
    if (parts.length) this.#give(recordingOf(parts));
    await this.store?.forgetParts();
  }

  async #finish(isKept) {
    const blob = await this.recorder.stop();
    this.#show(false);
    if (isKept) this.#give(blob);
    await this.store?.forgetParts();
  }

  #give(blob) {
    this.onRecording(
      new File([blob], `recording.${endingOf(blob)}`, { type: blob.type }),
      t("recordingOf", { date: date(Date.now()) }),
    );
  }

  #show(isShown) {
    element("recorder").hidden = !isShown;
    element("record-button").classList.toggle("recording", isShown);
    element("record-button").lastElementChild.textContent = t(isShown ? "stopRecording" : "record");
    this.onShow(isShown);
  }

  #showLevel(level, seconds) {
    element("record-level").value = level;
    element("record-time").textContent = clock(seconds * 1000);
  }
}
