// Fetches one transcription with Node's own fetch and prints what came. Arguments: the URL, an audio file, a timeout in
// ms for the headers and between parts of the body (0 keeps Node's own, 300 s), and form fields as NAME=TEXT.
import fs from "node:fs";

const [url, path, timeoutMs, ...fields] = process.argv.slice(2);
if (Number(timeoutMs) > 0) {
  const { Agent, setGlobalDispatcher } = await import("undici"); // Node's own fetch heeds it, too
  setGlobalDispatcher(new Agent({ headersTimeout: Number(timeoutMs), bodyTimeout: Number(timeoutMs) }));
}

const form = new FormData();
form.append("file", new Blob([fs.readFileSync(path)]), "audio.wav");
for (const field of fields) form.append(...field.split("=", 2));

const started = performance.now();
let reply;
try {
  const response = await fetch(url, { method: "POST", body: form });
  reply = { status: response.status, body: await response.text() };
} catch (error) {
  reply = { error: error.cause?.code ?? String(error) };
}
console.log(JSON.stringify({ ...reply, seconds: (performance.now() - started) / 1000 }));
