// Transcript → text: all of it on one line, or one line for each segment with its time and its speaker.
// `text` follows src/asr_api/formats/__init__.py.

import { joinWords } from "./blanks.js";

/** One line; empty for silence. */
export function text(transcript) {
  const words = joinWords(transcript.segments.map((segment) => segment.text).join(""));
  return words === "" ? "" : `${words}\n`;
}

/** One line for each segment, `[0:00:12] Speaker: text`; none for a segment without text. */
export function timedText(transcript) {
  return transcript.segments.map(timedLine).join("");
}

function timedLine(segment) {
  const words = joinWords(segment.text);
  const name = joinWords(segment.speaker ?? "");
  return words === "" ? "" : `[${clock(segment.startMs)}] ${name === "" ? "" : `${name}: `}${words}\n`;
}

// `0:00:12`, of the second that has begun.
function clock(timeMs) {
  const seconds = Math.floor(timeMs / 1000);
  const parts = [Math.floor(seconds / 60) % 60, seconds % 60].map((part) => String(part).padStart(2, "0"));
  return [Math.floor(seconds / 3600), ...parts].join(":");
}
