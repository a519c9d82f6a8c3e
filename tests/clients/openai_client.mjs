// What OpenAI's JavaScript client gets from a server, as one JSON object. Arguments: the base URL, an audio file.
import fs from "node:fs";
import OpenAI, { APIError } from "openai";

const [baseURL, path] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "any" });

function transcribe(options) {
  return client.audio.transcriptions.create({ file: fs.createReadStream(path), model: "whisper-1", ...options });
}

async function events(options) {
  const all = [];
  for await (const event of await transcribe({ stream: true, ...options })) all.push(event);
  return all;
}

async function failure(options) {
  try {
    return await transcribe(options);
  } catch (error) {
    if (!(error instanceof APIError)) throw error;
    const { status, code, param, requestID } = error;
    return { name: error.constructor.name, status, code, param, requestID };
  }
}

const verbose = { response_format: "verbose_json" };
const models = [];
for await (const model of client.models.list()) models.push(await client.models.retrieve(model.id));
const translation = await client.audio.translations.create({ file: fs.createReadStream(path), model: "whisper-1" });

console.log(
  JSON.stringify({
    json: await transcribe({}),
    text: await transcribe({ response_format: "text" }),
    srt: await transcribe({ response_format: "srt" }),
    vtt: await transcribe({ response_format: "vtt" }),
    segments: await transcribe(verbose),
    words: await transcribe({ ...verbose, timestamp_granularities: ["word"] }),
    both: await transcribe({ ...verbose, timestamp_granularities: ["word", "segment"] }),
    logprobs: await transcribe({ include: ["logprobs"] }),
    options: await transcribe({ languages: ["de", "fr"], keywords: ["Ada"], chunking_strategy: { type: "server_vad" } }),
    events: await events({}),
    logprobEvents: await events({ include: ["logprobs"] }),
    unknownModel: await failure({ model: "other" }),
    badTemperature: await failure({ temperature: 1.5 }),
    streamedSubtitles: await failure({ stream: true, response_format: "srt" }),
    translation,
    models: models.map((model) => model.id),
  }),
);
