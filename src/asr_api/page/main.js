// Start of the page: builds its parts and connects them.

import { alertSentence, askForKey, confirmed } from "./dialogs.js";
import { element } from "./element.js";
import { chosenParameters, connectFiles, RecorderPanel, showCapabilities } from "./intake.js";
import { t, translatePage } from "./interface_language.js";
import { errorSentence } from "./job_panel.js";
import { connectKeyboard, EDITING_KEYS, SHORTCUTS } from "./keyboard.js";
import { Library } from "./library.js";
import { ApiError, ServerApi } from "./server_api.js";
import { connectSettings } from "./settings_dialog.js";
import { openStore } from "./store.js";
import { TranscriptList } from "./transcript_list.js";
import { TranscriptionQueue } from "./transcription_queue.js";
import { Workspace } from "./workspace.js";

const MODEL_POLL_MS = 2000; // while the server is away or loads its model
const HELP_TEXTS = ["helpFiles", "helpRead", "helpCorrect", "helpSpeakers", "helpDoubts", "helpKept"];

const api = new ServerApi();
let capabilities = { languages: {}, prompts: true, translation: true, word_timestamps: true }; // until the server tells
let library = null;

async function askAndKeepKey() {
  const key = await askForKey();
  if (key) api.key = key;
  element("docs-link").hidden = Boolean(api.key); // a link cannot carry the key
  return key !== "";
}

/** Shows the model, as soon as the server can tell what it is able to do. */
async function showModel() {
  try {
    const model = await api.model();
    element("model").textContent = model.capabilities ? model.id : t("loading", { model: model.id });
    if (model.capabilities) {
      capabilities = model.capabilities;
      library.languageNames = capabilities.languages;
      return showCapabilities(capabilities);
    }
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 401 && (await askAndKeepKey())) return showModel();
    element("model").textContent = errorSentence(error);
    if (error.status === 401) return undefined;
  }
  return setTimeout(showModel, MODEL_POLL_MS);
}

function fillHelp() {
  element("help-text").replaceChildren(
    ...HELP_TEXTS.map((key) => Object.assign(document.createElement("li"), { textContent: t(key) })),
  );
  const keys = Map.groupBy([...SHORTCUTS, ...EDITING_KEYS], ({ action }) => action);
  const rows = [...keys].map(([action, shortcuts]) => {
    const row = document.createElement("tr");
    const head = Object.assign(document.createElement("th"), { scope: "row" });
    const names = shortcuts.map(({ key, character }) =>
      Object.assign(document.createElement("kbd"), { textContent: key ?? character }),
    );
    head.append(...names.flatMap((name, index) => (index ? [" ", name] : [name])));
    row.append(head, Object.assign(document.createElement("td"), { textContent: t(`key_${action}`) }));
    return row;
  });
  element("help-keys").tBodies[0].replaceChildren(...rows);
}

async function start() {
  translatePage();
  const store = await openStore().catch(() => null);
  const queue = new TranscriptionQueue(api, askAndKeepKey);
  library = new Library(store, queue);
  const workspace = new Workspace(library, queue, {
    onRetry: ({ open, job, audio }) => {
      const file = job?.file ?? new File([audio], open.transcript.fileName);
      if (open.segments.length)
        add([file], { title: open.transcript.title }); // what was corrected stays
      else library.retry(workspace.id, file, job?.parameters ?? chosenParameters(capabilities));
    },
  });
  const list = new TranscriptList(library, { onOpen: (id) => (location.hash = id), onRemove: (id) => remove(id) });
  const recorder = new RecorderPanel(store, {
    onShow: showRecorder,
    onRecording: (file, title) => add([file], { title, keepsAudio: true }),
  });

  function showView() {
    element("welcome").hidden = Boolean(workspace.open) || recorder.isRecording;
    document.body.dataset.view = workspace.open || recorder.isRecording ? "transcript" : "list";
    list.select(workspace.id);
  }

  function showRecorder(isShown) {
    if (isShown) close();
    showView();
  }

  /** Shows the transcript that the address names, so that reloading and going back work. */
  async function open() {
    const id = location.hash.slice(1);
    if (id === (workspace.id ?? "")) return;
    await library.flush();
    const entry = id ? await library.open(id) : null;
    if (id && !entry) alertSentence(t("gone"));
    workspace.show(entry);
    showView();
    scrollTo(0, 0);
  }

  async function remove(id) {
    const { title } = library.summaries.get(id);
    if (!(await confirmed(t("confirmRemove", { title }), t("delete")))) return;
    if (workspace.id === id) close();
    await library.remove(id);
  }

  function close() {
    location.hash = "";
  }

  /** The first of several is shown. */
  function add(files, { title, keepsAudio = element("keep-audio-check").checked } = {}) {
    const ids = files.map((file) =>
      library.add(file, { parameters: chosenParameters(capabilities), title, keepsAudio }),
    );
    if (ids.length) location.hash = ids[0];
  }

  library.addEventListener("list", () => workspace.open && !library.entry(workspace.id) && close());
  library.addEventListener(
    "copied",
    ({ detail }) => workspace.id === detail && history.replaceState(null, "", `#${detail}`),
  );
  library.addEventListener("problem", ({ detail }) => alertSentence(detail));
  connectFiles(add);
  connectSettings(library, {
    onForgotten: close,
    onLanguage: () => {
      fillHelp();
      list.update();
      showModel();
      if (workspace.open) workspace.show(library.entry(workspace.id));
    },
  });
  fillHelp();
  const help = () => element("help-dialog").showModal();
  element("help-button").addEventListener("click", help);
  element("back-button").addEventListener("click", close);
  const { player } = workspace;
  const playing = (action) => () => (player.hasAudio ? action() : false);
  connectKeyboard(
    {
      playPause: playing(() => player.toggle()),
      back5: playing(() => player.skip(-5)),
      forward5: playing(() => player.skip(5)),
      back10: playing(() => player.skip(-10)),
      forward10: playing(() => player.skip(10)),
      slower: playing(() => player.changeSpeed(-1)),
      faster: playing(() => player.changeSpeed(1)),
      nextDoubt: () => workspace.nextDoubt(),
      find: () => workspace.find(),
      download: () => workspace.download(),
      undo: () => workspace.undo(),
      redo: () => workspace.redo(),
      record: () => void recorder.toggle(),
      largeType: () => element("large-check").click(),
      help,
    },
    () => element("single-keys-check").checked,
  );
  addEventListener("beforeunload", (event) => {
    if (library.hasUnsaved || library.isBusy || recorder.isRecording) event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => document.hidden && library.flush());

  addEventListener("hashchange", open);
  element("skip-link").addEventListener("click", (event) => {
    event.preventDefault();
    element("transcript").focus();
  });

  await library.load();
  await open();
  if (!store) alertSentence(t("noStore"));
  showView();
  showModel();
  await recorder.recover();
}

start();
