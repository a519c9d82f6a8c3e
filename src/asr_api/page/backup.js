// All transcripts as one JSON file, and back.

const FORMAT = "asr-api transcripts";
const VERSION = 1;

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
  if (!Array.isArray(backup.transcripts) || !backup.transcripts.every(isTranscript)) throw new TypeError("damaged");
  return backup.transcripts;
}

const isTime = (value) => Number.isInteger(value) && value >= 0;
const isTimed = (item) =>
  isTime(item?.startMs) && isTime(item.endMs) && item.startMs <= item.endMs && typeof item.text === "string";

function isSegment(segment) {
  return (
    isTimed(segment) && Array.isArray(segment.words) && segment.words.every(isTimed) && Array.isArray(segment.doubts)
  );
}

function isTranscript(transcript) {
  const { id, title, createdMs, changedMs, segments } = transcript ?? {};
  return (
    [id, title].every((text) => typeof text === "string") &&
    [createdMs, changedMs].every(isTime) &&
    Array.isArray(segments) &&
    segments.every(isSegment)
  );
}
