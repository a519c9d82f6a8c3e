// The language of the page: its phrases by key, from phrases/, and its numbers, dates and names.

import { choices } from "./preferences.js";

export const LANGUAGES = ["en", "de", "es", "fr", "ar"];
const RIGHT_TO_LEFT = ["ar"];

let code = chosenLanguage();
let phrases = await loadPhrases(code);

export function interfaceLanguage() {
  return code;
}

function chosenLanguage() {
  const wanted = [choices.get("language"), ...navigator.languages.map((tag) => tag.split("-")[0]), "en"];
  return wanted.find((tag) => LANGUAGES.includes(tag));
}

async function loadPhrases(tag) {
  return (await import(`./phrases/${tag}.js`))[tag];
}

/** Rejects without a network, as phrases are loaded when they are chosen. */
export async function setInterfaceLanguage(tag) {
  phrases = await loadPhrases(tag);
  code = tag;
  choices.set("language", tag);
  translatePage();
}

/** The phrase of a key; `{name}` in it is replaced by the value of that name. */
export function t(key, values = {}) {
  return phrases[key].replace(/\{(\w+)\}/gu, (_, name) => values[name]);
}

/** Elements with data-t get the phrase as text; data-t-label is their label, data-t-placeholder an example. */
export function translatePage(root = document) {
  document.documentElement.lang = code;
  document.documentElement.dir = RIGHT_TO_LEFT.includes(code) ? "rtl" : "ltr";
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of root.querySelectorAll("[data-t-label]")) {
    element.setAttribute("aria-label", t(element.dataset.tLabel));
    if (element.matches("button")) element.title = t(element.dataset.tLabel);
  }
  for (const element of root.querySelectorAll("[data-t-placeholder]"))
    element.placeholder = t(element.dataset.tPlaceholder);
}

/** Name of a spoken language in the language of the page. */
export function languageName(tag, inLanguage = code) {
  return new Intl.DisplayNames([inLanguage], { type: "language" }).of(tag);
}

export function percent(share) {
  return new Intl.NumberFormat(code, { style: "percent" }).format(Math.floor(share * 100) / 100);
}

/** A rough length of time: "12 s", "5 min". */
export function roughTime(seconds) {
  const [amount, unit] =
    seconds < 90 ? [Math.max(1, Math.round(seconds)), "second"] : [Math.round(seconds / 60), "minute"];
  return new Intl.NumberFormat(code, { style: "unit", unit, unitDisplay: "short" }).format(amount);
}

export function date(ms) {
  return new Intl.DateTimeFormat(code, { dateStyle: "medium", timeStyle: "short" }).format(ms);
}

/** `0:05`, `12:05` or `1:02:05`. */
export function clock(ms) {
  const [hours, minutes, seconds] = [ms / 3_600_000, (ms / 60_000) % 60, (ms / 1000) % 60].map(Math.floor);
  const tail = `${minutes}:${String(seconds).padStart(2, "0")}`;
  return hours ? `${hours}:${tail.padStart(5, "0")}` : tail;
}
