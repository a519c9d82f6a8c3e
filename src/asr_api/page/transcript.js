// The transcript of a recording: made from the server's events, and its corrections as pure functions.
//
// Transcript: {id, version, title, fileName, createdMs, changedMs, audioMs, language, languageName, task, state, note,
// segments}.
// state: "running", "complete" or "incomplete". Times are integer milliseconds, as in asr_api/transcript.py.
// Segment: {startMs, endMs, text, words, doubts, speaker, omitted}. text has its leading blank; words join to it, or
// there are none. omitted: reasons why this text was left out of the transcript, or null.

import { dividedWord, editedWords } from "./word_times.js";

export const DOUBTFUL_PROBABILITY = 0.4; // of a word; below it, it is marked

/** crypto.randomUUID is missing outside of https and localhost. */
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function newTranscript(fileName, { task, title }) {
  return {
    id: newId(),
    version: 0,
    title: title ?? fileName.replace(/\.[^.]{1,5}$/u, ""),
    createdMs: Date.now(),
    changedMs: Date.now(),
    audioMs: 0,
    language: null,
    languageName: "",
    task,
    state: "running",
    note: "",
    fileName,
    segments: [],
  };
}

/** Data of a `chunk` or an `omitted` event of `POST /asr` → a segment. */
export function segmentOf(chunk) {
  return {
    ...timedText(chunk),
    words: (chunk.words ?? []).map((word) => ({ ...timedText(word), probability: word.probability })),
    doubts: chunk.doubts ?? [],
    speaker: null,
    omitted: chunk.reasons ?? null,
  };
}

function timedText({ timestamp: [start, end], text }) {
  return { startMs: Math.round(start * 1000), endMs: Math.round(end * 1000), text };
}

/** Where a segment belongs among others, by its start. */
export function indexFor(segments, { startMs }) {
  let index = segments.length;
  while (index > 0 && segments[index - 1].startMs > startMs) index -= 1;
  return index;
}

/** Blanks before the text, which are not shown. */
export function leadingBlanks({ text }) {
  return text.slice(0, text.length - text.trimStart().length);
}

/** The text of a segment as it is shown and edited. */
export function shownText(segment) {
  return segment.text.slice(leadingBlanks(segment).length);
}

/** shown: the text after the edit, as it is shown */
export function withText(segment, shown) {
  const text = leadingBlanks(segment) + shown.trimStart();
  return { ...segment, text, words: editedWords(segment, text), doubts: [] };
}

/** Two segments, divided at an offset in the shown text; null where one of them would have no text. */
export function splitSegment(segment, offset) {
  const lead = leadingBlanks(segment);
  let at = lead.length + offset;
  while (/\s/u.test(segment.text[at - 1] ?? "")) at -= 1;
  const [before, after] = [segment.text.slice(0, at), segment.text.slice(at)];
  if (!before.trim() || !after.trim()) return null;
  const [first, second] = dividedWords(segment, at);
  const middle = divisionMs(segment, at, first, second);
  const part = { doubts: segment.doubts, speaker: segment.speaker, omitted: segment.omitted };
  return [
    { ...part, startMs: segment.startMs, endMs: middle.endMs, text: before, words: first },
    { ...part, startMs: middle.startMs, endMs: segment.endMs, text: after, words: second },
  ];
}

function dividedWords({ words }, at) {
  const [first, second] = [[], []];
  let offset = 0;
  for (const word of words) {
    const end = offset + word.text.length;
    if (end <= at) first.push(word);
    else if (offset >= at) second.push(word);
    else dividedWord(word, at - offset).forEach((part, index) => (index ? second : first).push(part));
    offset = end;
  }
  return [first, second];
}

function divisionMs(segment, at, first, second) {
  if (first.length && second.length) return { endMs: first.at(-1).endMs, startMs: second[0].startMs };
  const [part] = dividedWord(segment, at);
  return { endMs: part.endMs, startMs: part.endMs };
}

/** A segment and the one behind it as one. */
export function joinSegments(first, second) {
  const hasWords = [first, second].every(({ text, words }) => words.length || !text.trim());
  return {
    startMs: first.startMs,
    endMs: Math.max(first.endMs, second.endMs),
    text: first.text + second.text,
    words: hasWords ? [...first.words, ...second.words] : [],
    doubts: [...new Set([...first.doubts, ...second.doubts])],
    speaker: first.speaker ?? second.speaker,
    omitted: null,
  };
}

/** Names of speakers, in the order of their first words. */
export function speakersOf(segments) {
  return [...new Set(segments.map((segment) => segment.speaker).filter(Boolean))];
}

/** Segments with another speaker. scope: "here", "onward" until the next speaker, "everywhere" where the same one is */
export function withSpeaker(segments, index, name, scope) {
  const before = segments[index].speaker;
  let isReached = true;
  return segments.map((segment, position) => {
    if (position > index && segment.speaker !== before) isReached = false;
    const isMeant = {
      here: position === index,
      onward: position >= index && isReached,
      everywhere: segment.speaker === before,
    }[scope];
    return isMeant ? { ...segment, speaker: name || null } : segment;
  });
}

/** Whether a reader should check a word. */
export function isDoubtful(segment, word) {
  return segment.doubts.length > 0 || (word.probability ?? 1) < DOUBTFUL_PROBABILITY;
}

/** Segments that are part of the text. */
export function spokenSegments({ segments }) {
  return segments.filter((segment) => !segment.omitted && segment.text.trim());
}
