// Transcript → subtitles: SRT and WebVTT of cues.
// Follows src/asr_api/formats/subtitles.py.
//
// Text that would end a cue or start markup is escaped: arrows, and in WebVTT `&` and `<`. No line of a cue is empty.

import { cues } from "./cues.js";

const ARROW = "-->";

/** SubRip subtitles; empty for silence. */
export function srt(transcript, options) {
  return cues(transcript, options)
    .map((cue, index) => `${index + 1}\n${times(cue, ",")}\n${textOf(cue).replaceAll(ARROW, "→")}\n\n`)
    .join("");
}

/** WebVTT subtitles; the header alone for silence. */
export function vtt(transcript, options) {
  const found = cues(transcript, options);
  return "WEBVTT\n\n" + found.map((cue) => `${times(cue, ".")}\n${escapeMarkup(textOf(cue))}\n\n`).join("");
}

function textOf(cue) {
  return cue.lines.join("\n");
}

function times(cue, mark) {
  return `${clock(cue.startMs, mark)} ${ARROW} ${clock(cue.endMs, mark)}`;
}

// `00:00:01,500`; the mark before the milliseconds is SRT's comma or WebVTT's full stop.
function clock(timeMs, mark) {
  const [seconds, ms] = [Math.floor(timeMs / 1000), timeMs % 1000];
  const [minutes, hours] = [Math.floor(seconds / 60) % 60, Math.floor(seconds / 3600)];
  return `${padded(hours, 2)}:${padded(minutes, 2)}:${padded(seconds % 60, 2)}${mark}${padded(ms, 3)}`;
}

function padded(number, numDigits) {
  return String(number).padStart(numDigits, "0");
}

function escapeMarkup(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
