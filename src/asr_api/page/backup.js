// All transcripts as one JSON file, and back: what comes in is checked, and takes the shape of transcript.js.

const FORMAT = "asr-api transcripts";
const VERSION = 1;
const DOUBTS = ["repetition", "low_confidence", "no_speech"];

export function backupOf(transcripts) {
  return JSON.stringify({ format: FORMAT, version: VERSION, transcripts });
}

/** The transcripts of a backup; throws TypeError for any other file. */
export function transcriptsOf(text) {
  let backup;
  try {
    backup = JSON.parse(text);
  } catch {
    throw new TypeError("not JSON");
  }
  if (backup?.format !== FORMAT || backup.version !== VERSION) throw new TypeError("not a backup");
  if (!Array.isArray(backup.transcripts)) throw new TypeError("no transcripts");
  return backup.transcripts.map(transcriptOf);
}

function transcriptOf(given) {
  const { id, title, segments } = given ?? {};
  const isText = [id, title].every((text) => typeof text === "string");
  if (!isText || !/^[\w-]{1,64}$/u.test(id) || !Array.isArray(segments)) throw new TypeError("damaged");
  return {
    id,
    title,
    version: 0,
    createdMs: timeMs(given.createdMs),
    changedMs: timeMs(given.changedMs),
    audioMs: timeMs(given.audioMs),
    language: /^[a-z]{2,3}$/u.test(given.language) ? given.language : null,
    languageName: String(given.languageName ?? ""),
    task: given.task === "translate" ? "translate" : "transcribe",
    state: given.state === "complete" ? "complete" : "incomplete",
    note: ["truncated", "damaged"].includes(given.note) ? given.note : "",
    fileName: String(given.fileName ?? ""),
    segments: segments.map(segmentOf).sort((first, second) => first.startMs - second.startMs),
  };
}

function segmentOf(given) {
  const words = (given?.words ?? []).map((word) => ({ ...timed(word), probability: Number(word.probability ?? 1) }));
  const segment = timed(given);
  return {
    ...segment,
    words: words.map(({ text }) => text).join("") === segment.text ? words : [],
    doubts: (given.doubts ?? []).filter((doubt) => DOUBTS.includes(doubt)),
    speaker: given.speaker ? String(given.speaker) : null,
    omitted: given.omitted ? [] : null,
  };
}

function timed({ startMs, endMs, text } = {}) {
  if (typeof text !== "string" || timeMs(startMs) > timeMs(endMs)) throw new TypeError("damaged");
  return { startMs, endMs, text };
}

function timeMs(value) {
  if (!Number.isSafeInteger(value) || value < 0) throw new TypeError("damaged");
  return value;
}
