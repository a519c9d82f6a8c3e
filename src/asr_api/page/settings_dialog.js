// The settings of this browser: language of the page, appearance, large type; and export, import and forgetting.

import { backupOf, transcriptsOf } from "./backup.js";
import { alertSentence, confirmed } from "./dialogs.js";
import { saveFile } from "./downloads.js";
import { element } from "./element.js";
import { interfaceLanguage, LANGUAGES, languageName, setInterfaceLanguage, t } from "./interface_language.js";
import { choices } from "./preferences.js";

/** A choice that is remembered, and applied now and whenever it changes. */
function connectChoice(control, name, initial, apply) {
  const property = control.type === "checkbox" ? "checked" : "value";
  control[property] = JSON.parse(choices.get(name) ?? JSON.stringify(initial));
  const changed = () => {
    choices.set(name, JSON.stringify(control[property]));
    apply(control[property]);
  };
  control.addEventListener("change", changed);
  apply(control[property]);
}

/** onLanguage is called when the phrases of the page have changed, onForgotten when all data is gone. */
export function connectSettings(library, { onLanguage, onForgotten }) {
  const dialog = element("settings-dialog");
  element("settings-button").addEventListener("click", async () => {
    dialog.showModal();
    element("storage-note").textContent = await storageNote();
  });
  for (const tag of LANGUAGES) {
    const isChosen = tag === interfaceLanguage();
    element("interface-select").add(new Option(languageName(tag, tag), tag, isChosen, isChosen));
  }
  element("interface-select").addEventListener("change", async (event) => {
    try {
      await setInterfaceLanguage(event.target.value);
    } catch {
      event.target.value = interfaceLanguage();
      return alertSentence(t("unreachable"));
    }
    element("storage-note").textContent = await storageNote();
    return onLanguage();
  });
  const root = document.documentElement;
  connectChoice(element("theme-select"), "theme", "light dark", (value) => (root.style.colorScheme = value));
  connectChoice(element("large-check"), "large", false, (isLarge) => root.classList.toggle("large", isLarge));
  connectChoice(element("single-keys-check"), "single-keys", true, () => {});
  connectChoice(element("keep-audio-check"), "keep-audio", false, (isKept) => {
    if (isKept) navigator.storage?.persist?.(); // ask the browser not to delete it when its disk is full
  });
  connectData(library, dialog, onForgotten);
}

function connectData(library, dialog, onForgotten) {
  element("export-button").addEventListener("click", async () => {
    const blob = new Blob([backupOf(await library.all())], { type: "application/json" });
    saveFile(blob, `transcripts-${new Date().toISOString().slice(0, 10)}.json`);
  });
  element("import-button").addEventListener("click", () => element("import-input").click());
  element("import-input").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    try {
      const num = await library.import(transcriptsOf(await file.text()));
      alertSentence(t("imported", { num }));
    } catch (error) {
      alertSentence(t("notImported", { name: file.name, reason: error.message }));
    }
    event.target.value = "";
    dialog.close();
  });
  element("forget-button").addEventListener("click", async () => {
    dialog.close();
    if (!(await confirmed(t("confirmForget"), t("forgetAll")))) return;
    await library.forgetAll();
    onForgotten();
  });
}

async function storageNote() {
  const { usage = 0 } = (await navigator.storage?.estimate?.()) ?? {};
  return t("storageNote", { size: (usage / 1e6).toFixed(1) });
}
