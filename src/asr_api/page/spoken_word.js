// Reading along: finds the word that is spoken at a time, lights it while the recording plays, and keeps it in view.

import { highlight, liveRange } from "./highlights.js";

const MARGIN = 0.25; // of the height of the window, above and below which the spoken word does not stay

/** Start times of all words of a transcript, so that the word at a time is found by binary search. */
export class WordIndex {
  constructor(segments) {
    this.startMs = [];
    this.words = []; // {index of the segment, start and end in its text, endMs}
    segments.forEach((segment, index) => {
      if (segment.omitted) return;
      let offset = 0;
      const words = segment.words.length ? segment.words : [segment];
      for (const word of words) {
        const end = offset + word.text.length;
        const start = end - word.text.trimStart().length;
        this.startMs.push(word.startMs);
        this.words.push({ index, start, end, startMs: word.startMs, endMs: word.endMs });
        offset = end;
      }
    });
  }

  /** The last word that has begun by this time; null before the first one. */
  at(timeMs) {
    let [low, high] = [0, this.startMs.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.startMs[middle] <= timeMs) low = middle + 1;
      else high = middle;
    }
    return this.words[low - 1] ?? null;
  }

  /** The word of a segment at an offset in its text; null if it has none there. */
  in(index, offset) {
    const words = this.words.filter((word) => word.index === index);
    return words.findLast((word) => word.start <= offset) ?? words[0] ?? null;
  }
}

export class SpokenWord {
  #lit = null;
  #index = null;

  /** onFollow(isFollowing) is called when the view begins or stops to follow the recording. */
  constructor(segmentList, player, onFollow) {
    Object.assign(this, { segmentList, player, onFollow });
    this.isFollowing = true;
    for (const type of ["wheel", "touchmove"]) addEventListener(type, () => this.#stopFollowing(), { passive: true });
    addEventListener("keydown", (event) => {
      if (["PageUp", "PageDown", "Home", "End"].includes(event.key)) this.#stopFollowing();
    });
    player.addEventListener("play", () => requestAnimationFrame(() => this.#tick()));
    player.addEventListener("seeked", () => this.update());
  }

  get index() {
    this.#index ??= new WordIndex(this.segmentList.open?.segments ?? []);
    return this.#index;
  }

  /** To be called when words have changed. */
  forget() {
    this.#index = null;
    this.#lit = null;
  }

  follow() {
    this.isFollowing = true;
    this.onFollow(true);
    this.update(true);
  }

  /** Lights the word that is spoken now. */
  update(isForced = false) {
    const word = this.segmentList.open ? this.index.at(this.player.timeMs) : null;
    if (word === this.#lit && !isForced) return;
    this.#lit = word;
    const range = word && this.segmentList.range(word.index, word.start, word.end);
    highlight("spoken", range ? [range] : []);
    if (range && this.isFollowing && (this.player.isPlaying || isForced)) this.#keepInView(word, range);
  }

  /** Once a frame, because the browser's own `timeupdate` comes four times a second. */
  #tick() {
    this.update();
    if (this.player.isPlaying) requestAnimationFrame(() => this.#tick());
  }

  #keepInView(word, range) {
    const { top, bottom } = liveRange(range).getBoundingClientRect();
    const height = innerHeight;
    if (bottom && top > MARGIN * height * 0.5 && bottom < height * (1 - MARGIN)) return;
    const distance = top - height * MARGIN;
    if (!bottom || Math.abs(distance) > height) {
      // far away, where passages may not be laid out yet
      this.segmentList.item(word.index).scrollIntoView({ block: "center", behavior: "instant" });
    } else {
      scrollBy({
        top: distance,
        behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth",
      });
    }
  }

  #stopFollowing() {
    if (!this.player.isPlaying || !this.isFollowing) return;
    this.isFollowing = false;
    scrollTo({ top: scrollY, behavior: "instant" }); // ends our own scrolling
    this.onFollow(false);
  }
}
