// Recording from the microphone: parts of the recording as they come, the level, and a screen that stays awake.
//
// What is recorded becomes a file and is transcribed as one. Text while one speaks needs the realtime API: its session
// begins here, beside MediaRecorder, when the server offers it.

const PART_MS = 1000;
const TYPES = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"];

/** Why there is no microphone: "insecure" outside of https and localhost, "refused", "missing". */
export class NoMicrophone extends Error {}

export class Recorder {
  #parts = [];

  /** onPart(blob) gets each second of the recording, onLevel(level in [0, 1], seconds) each frame. */
  constructor({ onPart, onLevel }) {
    Object.assign(this, { onPart, onLevel });
  }

  get isRecording() {
    return this.media?.state === "recording";
  }

  /** Throws NoMicrophone. */
  async start() {
    if (!isSecureContext || !navigator.mediaDevices) throw new NoMicrophone("insecure");
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch (error) {
      throw new NoMicrophone(error.name === "NotAllowedError" ? "refused" : "missing");
    }
    this.#parts = [];
    this.startedMs = Date.now();
    this.media = new MediaRecorder(this.stream, {
      mimeType: TYPES.find((type) => MediaRecorder.isTypeSupported(type)),
    });
    this.media.addEventListener("dataavailable", ({ data }) => {
      if (!data.size) return;
      this.#parts.push(data);
      this.onPart(data);
    });
    this.media.start(PART_MS);
    this.#meter();
    this.lock = await navigator.wakeLock?.request("screen").catch(() => null); // refused while the battery is low
  }

  /** The recording as one blob. */
  async stop() {
    const stopped = new Promise((resolve) => this.media.addEventListener("stop", resolve, { once: true }));
    this.media.stop();
    await stopped;
    this.stream.getTracks().forEach((track) => track.stop());
    await this.context.close();
    await this.lock?.release();
    return recordingOf(this.#parts);
  }

  #meter() {
    this.context = new AudioContext();
    const analyser = this.context.createAnalyser();
    this.context.createMediaStreamSource(this.stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const tick = () => {
      if (!this.isRecording) return;
      analyser.getFloatTimeDomainData(samples);
      this.onLevel(Math.max(...samples.map(Math.abs)), (Date.now() - this.startedMs) / 1000);
      requestAnimationFrame(tick);
    };
    tick();
  }
}

/** Parts of one recording as a blob. */
export function recordingOf(parts) {
  return new Blob(parts, { type: parts[0]?.type ?? TYPES[0] });
}

/** Of the name of a file with a recording. */
export function endingOf({ type }) {
  return { "audio/mp4": "m4a", "audio/ogg": "ogg" }[type.split(";")[0]] ?? "webm";
}
