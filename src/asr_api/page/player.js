// The player: the recording from the user's disk or from the browser's store, its buttons, speed and position.

import { element } from "./element.js";
import { clock, t } from "./interface_language.js";

const SPEEDS = [0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 1.75, 2, 2.5, 3];
const UNKNOWN_END_S = 1e9; // a place behind every end: the browser then finds out how long the recording is

/** Emits "play", "pause", "seeked", and "unplayable" if the browser cannot play the recording. */
export class Player extends EventTarget {
  #url = "";

  constructor() {
    super();
    this.audio = element("audio");
    for (const speed of SPEEDS) element("speed-select").add(new Option(`${speed}×`, speed, speed === 1, speed === 1));
    this.#connect();
  }

  get timeMs() {
    return this.audio.currentTime * 1000;
  }

  get isPlaying() {
    return !this.audio.paused && !this.audio.ended;
  }

  get hasAudio() {
    return this.#url !== "";
  }

  /** Length of the recording; 0 while it is not known. */
  get durationMs() {
    return Number.isFinite(this.audio.duration) ? this.audio.duration * 1000 : 0;
  }

  /** blob: null shows that the recording has to be chosen again */
  load(blob) {
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.#url = blob ? URL.createObjectURL(blob) : "";
    if (blob) this.audio.src = this.#url;
    else this.audio.removeAttribute("src");
    this.audio.load();
    this.audio.playbackRate = this.audio.defaultPlaybackRate = Number(element("speed-select").value);
    element("player").hidden = false;
    element("player-controls").hidden = !blob;
    element("player-missing").hidden = Boolean(blob);
    this.#showPosition();
  }

  hide() {
    this.load(null);
    element("player").hidden = true;
  }

  async play() {
    if (!this.hasAudio) return;
    try {
      await this.audio.play();
    } catch (error) {
      if (error.name !== "AbortError") this.dispatchEvent(new Event("unplayable"));
    }
  }

  pause() {
    this.audio.pause();
  }

  toggle() {
    if (this.isPlaying) this.pause();
    else this.play();
  }

  seek(timeMs) {
    this.audio.currentTime = Math.max(0, timeMs / 1000);
  }

  skip(seconds) {
    this.seek(this.timeMs + seconds * 1000);
  }

  changeSpeed(step) {
    const select = element("speed-select");
    select.selectedIndex = Math.max(0, Math.min(SPEEDS.length - 1, select.selectedIndex + step));
    select.dispatchEvent(new Event("change"));
  }

  #connect() {
    const { audio } = this;
    for (const type of ["play", "pause", "seeked"])
      audio.addEventListener(type, () => this.dispatchEvent(new Event(type)));
    audio.addEventListener("error", () => this.hasAudio && this.dispatchEvent(new Event("unplayable")));
    audio.addEventListener("loadedmetadata", () => {
      if (audio.duration === Infinity) audio.currentTime = UNKNOWN_END_S; // a recording of the browser's own
    });
    audio.addEventListener("durationchange", () => {
      if (Number.isFinite(audio.duration) && audio.currentTime >= audio.duration) audio.currentTime = 0;
      this.#showPosition();
    });
    for (const type of ["timeupdate", "seeked", "play", "pause", "ended"])
      audio.addEventListener(type, () => this.#showPosition());
    element("play-button").addEventListener("click", () => this.toggle());
    element("seek-back").addEventListener("click", () => this.skip(-5));
    element("seek-forward").addEventListener("click", () => this.skip(5));
    element("seek-range").addEventListener("input", (event) => this.seek(event.target.value * 1000));
    element("speed-select").addEventListener("change", (event) => {
      audio.playbackRate = audio.defaultPlaybackRate = Number(event.target.value);
    });
  }

  #showPosition() {
    const range = element("seek-range");
    range.max = this.durationMs / 1000;
    range.value = this.audio.currentTime;
    range.setAttribute("aria-valuetext", t("positionOf", { time: clock(this.timeMs), end: clock(this.durationMs) }));
    element("position").textContent = clock(this.timeMs);
    element("duration").textContent = clock(this.durationMs);
    const button = element("play-button");
    button.textContent = this.isPlaying ? "⏸" : "▶";
    button.title = t(this.isPlaying ? "pause" : "play");
    button.setAttribute("aria-label", button.title);
  }
}

/** Length of a recording; 0 if the browser cannot tell. */
export function lengthMs(blob) {
  const audio = new Audio();
  audio.preload = "metadata";
  audio.src = URL.createObjectURL(blob);
  return new Promise((resolve) => {
    audio.addEventListener("error", () => resolve(0));
    audio.addEventListener("loadedmetadata", () =>
      resolve(Number.isFinite(audio.duration) ? audio.duration * 1000 : 0),
    );
  }).finally(() => URL.revokeObjectURL(audio.src));
}
