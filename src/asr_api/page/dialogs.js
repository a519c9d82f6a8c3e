// Small dialogs that ask one question: confirmation, API key, speaker; and alerts at the edge of the page.

import { element } from "./element.js";
import { t } from "./interface_language.js";

const ALERT_MS = 12_000;

/** Shows a dialog; resolves to whether it was closed by its first button. */
function ask(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "ok"), { once: true });
  });
}

/** action: the word on the button */
export function confirmed(question, action) {
  element("confirm-text").textContent = question;
  element("confirm-ok").textContent = action;
  return ask(element("confirm-dialog"));
}

let keyQuestion = null;

/** The API key that the user enters, or "". Several askers get the same answer. */
export function askForKey() {
  keyQuestion ??= ask(element("key-dialog")).then((isGiven) => {
    keyQuestion = null;
    const input = element("key-input");
    const key = isGiven ? input.value.trim() : "";
    input.value = "";
    return key;
  });
  return keyQuestion;
}

/** `{name, scope}` for the speaker of a segment, or null. */
export async function askForSpeaker(current, known) {
  const input = element("speaker-input");
  input.value = current ?? "";
  element("speaker-names").replaceChildren(...known.map((name) => new Option(name)));
  const everywhere = document.querySelector("[name=scope][value=everywhere]");
  everywhere.disabled = !current;
  document.querySelector(`[name=scope][value=${current ? "everywhere" : "onward"}]`).checked = true;
  const isGiven = await ask(element("speaker-dialog"));
  const scope = document.querySelector("[name=scope]:checked").value;
  return isGiven ? { name: input.value.trim(), scope } : null;
}

/** A sentence that stays for a while; role=alert reads it out. */
export function alertSentence(sentence) {
  const box = document.createElement("p");
  const close = Object.assign(document.createElement("button"), { type: "button", textContent: "×" });
  close.setAttribute("aria-label", t("close"));
  close.addEventListener("click", () => box.remove());
  box.append(sentence, " ", close);
  element("alerts").append(box);
  setTimeout(() => box.remove(), ALERT_MS);
}
