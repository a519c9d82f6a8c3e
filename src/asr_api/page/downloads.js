// The download dialog: the corrected transcript in each format, made here, with a preview.

import { element } from "./element.js";
import { docx } from "./formats/docx.js";
import { srt, vtt } from "./formats/subtitles.js";
import { text, timedText } from "./formats/text.js";
import { verboseJson } from "./formats/verbose_json.js";
import { clock } from "./interface_language.js";
import { endingOf } from "./recorder.js";
import { spokenSegments } from "./transcript.js";

const PREVIEW_CHARS = 1500;
const SUBTITLES = ["srt", "vtt"];

/** Name → [ending, media type, function from a transcript and options to the content]. */
const FORMATS = {
  txt: ["txt", "text/plain", text],
  timed: ["txt", "text/plain", timedText],
  srt: ["srt", "application/x-subrip", srt],
  vtt: ["vtt", "text/vtt", vtt],
  json: ["json", "application/json", verboseJson],
  docx: ["docx", "", (transcript) => docx(transcript, clock)],
};

/** What formats read: a transcript without what was left out. */
export function exported(transcript) {
  return { ...transcript, segments: spokenSegments(transcript) };
}

export class DownloadDialog {
  #transcript = null;
  #audio = null;

  constructor() {
    this.dialog = element("download-dialog");
    for (const id of ["format-select", "line-width", "line-count"])
      element(id).addEventListener("input", () => this.#show());
    element("download-save").addEventListener("click", () => this.#save());
    element("download-copy").addEventListener("click", () => navigator.clipboard.writeText(this.#content()));
  }

  /** audio: of the recording, if this browser has it */
  show(transcript, audio) {
    this.#transcript = exported(transcript);
    this.#audio = audio;
    const select = element("format-select");
    select.querySelector("[value=audio]").hidden = !audio;
    if (select.value === "audio" && !audio) select.value = "txt";
    this.#show();
    this.dialog.showModal();
  }

  get #format() {
    return element("format-select").value;
  }

  #content() {
    const [maxLineWidth, maxLineCount] = ["line-width", "line-count"].map((id) => {
      const input = element(id);
      return Math.min(
        Number(input.max),
        Math.max(Number(input.min), Math.round(input.valueAsNumber) || Number(input.defaultValue)),
      );
    });
    return FORMATS[this.#format][2](this.#transcript, { maxLineWidth, maxLineCount, maxWordsPerLine: null });
  }

  #show() {
    const isText = !["docx", "audio"].includes(this.#format);
    element("subtitle-options").hidden = !SUBTITLES.includes(this.#format);
    for (const id of ["download-preview", "download-copy"]) element(id).hidden = !isText;
    if (isText) element("download-preview").textContent = this.#content().slice(0, PREVIEW_CHARS);
  }

  #save() {
    const { title } = this.#transcript;
    if (this.#format === "audio") {
      return saveFile(this.#audio, `${title}.${this.#audio.name?.split(".").pop() ?? endingOf(this.#audio)}`);
    }
    const [ending, type] = FORMATS[this.#format];
    const content = this.#content();
    saveFile(
      content instanceof Blob ? content : new Blob([content], { type: `${type};charset=utf-8` }),
      `${title}.${ending}`,
    );
  }
}

/** Hands a file to the browser's downloads. */
export function saveFile(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name.replace(/[\\/:*?"<>|\u0000-\u001f]/gu, "_");
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
