// The open transcript on the page: its list of segments, player, editing, search, downloads and progress, connected.

import { alertSentence, askForSpeaker } from "./dialogs.js";
import { DownloadDialog, exported } from "./downloads.js";
import { element } from "./element.js";
import { FindBar } from "./find_in_text.js";
import { timedText } from "./formats/text.js";
import { highlight, liveRange } from "./highlights.js";
import { languageName, t } from "./interface_language.js";
import { JobPanel } from "./job_panel.js";
import { Player } from "./player.js";
import { SegmentList } from "./segment_list.js";
import { SpokenWord } from "./spoken_word.js";
import { connectEditing, insertOmitted, offsetAt } from "./text_editing.js";
import { leadingBlanks, speakersOf, withSpeaker } from "./transcript.js";

const REFRESH_MS = 150; // between marks that are set anew, while one types or text arrives

export class Workspace {
  #entry = null;
  #timer = 0; // of marks that are set anew; 0 is none
  #doubt = null; // where the last jump to a doubt went
  #changed = (event) => this.#update(event.detail);
  #fieldsChanged = () => this.#showState();

  /** onRetry(entry) is called for the button of a failed transcription */
  constructor(library, queue, { onRetry }) {
    this.library = library;
    this.player = new Player();
    this.segmentList = new SegmentList(element("segments"));
    this.spokenWord = new SpokenWord(
      this.segmentList,
      this.player,
      (isFollowing) => (element("follow-button").hidden = isFollowing),
    );
    this.findBar = new FindBar(this.segmentList, () => this.open);
    this.downloads = new DownloadDialog();
    this.jobPanel = new JobPanel({ onCancel: (job) => queue.cancel(job), onRetry: () => onRetry(this.#entry) });
    connectEditing(this.segmentList, { getOpen: () => this.open, onType: () => this.player.pause() });
    this.#connect();
  }

  /** The OpenTranscript that is shown, or null. */
  get open() {
    return this.#entry?.open ?? null;
  }

  get id() {
    return this.open?.transcript.id;
  }

  /** entry: of the library; null shows none */
  show(entry) {
    this.open?.removeEventListener("change", this.#changed);
    this.open?.removeEventListener("fields", this.#fieldsChanged);
    this.#forgetTimer();
    this.#entry = entry;
    this.#doubt = null;
    element("reader").hidden = !entry;
    for (const name of ["spoken", "doubt", "found", "found-now"]) highlight(name, []);
    this.player.pause();
    if (!entry) {
      this.jobPanel.show(null, false);
      return this.player.hide();
    }
    entry.open.addEventListener("change", this.#changed);
    entry.open.addEventListener("fields", this.#fieldsChanged);
    this.#setEditable();
    this.segmentList.show(entry.open);
    this.spokenWord.forget();
    this.spokenWord.follow();
    this.player.load(entry.audio);
    element("save-state").textContent = "";
    element("title-input").value = entry.open.transcript.title;
    this.#showState();
    this.#showDoubts();
    this.findBar.search();
  }

  // -- actions: those of keyboard.js; false where there is nothing to do -------------------------------------------

  undo() {
    if (!this.open?.canUndo) return false;
    this.open.undo();
  }

  redo() {
    if (!this.open?.canRedo) return false;
    this.open.redo();
  }

  nextDoubt() {
    const doubts = this.open ? this.segmentList.doubts() : [];
    if (!doubts.length) return this.open ? alertSentence(t("noDoubts")) : false;
    const after = this.#doubt ?? { index: -1, start: 0 };
    const isLater = ({ index, start }) => index > after.index || (index === after.index && start > after.start);
    const doubt = doubts.find(isLater) ?? doubts[0];
    this.#doubt = { index: doubt.index, start: doubt.start };
    this.segmentList.item(doubt.index).scrollIntoView({ block: "center" });
    this.segmentList.focus(doubt.index);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(liveRange(doubt.range));
  }

  find() {
    if (!this.open) return false;
    this.findBar.show();
  }

  download() {
    if (!this.open) return false;
    this.downloads.show(this.open.transcript, this.#entry.audio);
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(timedText(exported(this.open.transcript)));
      alertSentence(t("copied"));
    } catch {
      alertSentence(t("notCopied"));
    }
  }

  // -- what happens ------------------------------------------------------------------------------------------------

  #connect() {
    const list = element("segments");
    list.addEventListener("click", (event) => this.#click(event));
    element("edit-button").addEventListener("click", ({ target }) => {
      target.setAttribute("aria-pressed", target.ariaPressed !== "true");
      this.#setEditable();
    });
    const buttons = {
      "undo-button": () => this.undo(),
      "redo-button": () => this.redo(),
      "doubt-button": () => this.nextDoubt(),
    };
    for (const [id, action] of Object.entries(buttons)) element(id).addEventListener("click", action);
    element("copy-button").addEventListener("click", () => this.copy());
    element("download-button").addEventListener("click", () => this.download());
    element("follow-button").addEventListener("click", () => this.spokenWord.follow());
    element("title-input").addEventListener("input", (event) => this.open.set({ title: event.target.value }));
    element("attach-button").addEventListener("click", () => element("attach-input").click());
    element("attach-input").addEventListener("change", (event) => {
      this.#entry.audio = event.target.files[0] ?? null;
      this.player.load(this.#entry.audio);
      this.#showState();
    });
    this.player.addEventListener("unplayable", () => alertSentence(t("unplayable")));
    this.library.addEventListener("saving", () => this.#showSaved(t("saving")));
    this.library.addEventListener("saved", () => this.#showSaved(t("saved")));
  }

  #click(event) {
    const index = this.segmentList.indexOf(event.target);
    if (index < 0) return;
    const { target } = event;
    const segment = this.open.segments[index];
    if (target.matches(".time")) this.#playFrom(segment.startMs);
    else if (target.matches(".speaker")) this.#nameSpeaker(index);
    else if (target.matches(".insert")) insertOmitted(this.segmentList, this.open, index);
    else if (target.matches(".words")) this.#playFromWord(index, event);
  }

  /** On a touch screen a text can be edited after a touch of "Correct": else the keyboard would cover half of it. */
  #setEditable() {
    const isWanted = !matchMedia("(pointer: coarse)").matches || element("edit-button").ariaPressed === "true";
    this.segmentList.setEditable(isWanted && this.open.transcript.state !== "running");
  }

  /** A click that selects nothing plays from its word, and puts the caret there. */
  #playFromWord(index, event) {
    const offset = offsetAt(event);
    if (offset === null || !getSelection().isCollapsed || !this.player.hasAudio) return;
    const word = this.spokenWord.index.in(index, offset + leadingBlanks(this.open.segments[index]).length);
    if (word) this.#playFrom(word.startMs);
  }

  #playFrom(timeMs) {
    this.spokenWord.follow();
    this.player.seek(timeMs);
    this.player.play();
  }

  async #nameSpeaker(index) {
    const { open } = this;
    const given = await askForSpeaker(open.segments[index].speaker, speakersOf(open.segments));
    if (!given || open !== this.open) return;
    open.splice(0, open.segments.length, withSpeaker(open.segments, index, given.name, given.scope), "speaker");
    this.segmentList.item(index).querySelector(".speaker").focus();
  }

  #update(change) {
    this.segmentList.update(change);
    this.spokenWord.forget();
    if (["typing", "server"].includes(change.source)) this.#timer ||= setTimeout(() => this.#refresh(), REFRESH_MS);
    else this.#refresh();
    this.#showState();
    const isElsewhere = change.source === "undo" || change.source === "redo";
    if (isElsewhere && change.inserted.length) this.segmentList.item(change.index).scrollIntoView({ block: "nearest" });
  }

  /** Marks on words, whose places have changed. */
  #refresh() {
    this.#forgetTimer();
    this.spokenWord.update(this.player.isPlaying);
    this.#showDoubts();
    this.findBar.search();
  }

  #forgetTimer() {
    clearTimeout(this.#timer);
    this.#timer = 0;
  }

  #showDoubts() {
    const doubts = this.segmentList.doubts();
    highlight(
      "doubt",
      doubts.map(({ range }) => range),
    );
    element("doubt-button").disabled = !doubts.length;
    element("doubt-button").textContent = doubts.length ? t("nextDoubtOf", { num: doubts.length }) : t("nextDoubt");
  }

  #showState() {
    const { transcript, canUndo, canRedo } = this.open;
    const title = element("title-input");
    if (document.activeElement !== title) title.value = transcript.title;
    const isRunning = transcript.state === "running";
    element("undo-button").disabled = !canUndo;
    element("redo-button").disabled = !canRedo;
    for (const id of ["download-button", "copy-button"]) element(id).disabled = !transcript.segments.length;
    element("edit-button").disabled = isRunning;
    this.#setEditable();
    const canRetry = transcript.state === "incomplete" && Boolean(this.#entry.audio);
    this.jobPanel.show(this.#entry.job, canRetry);
    const notes = [];
    if (isRunning) notes.push(t("editLater"));
    else if (transcript.language) notes.push(languageName(transcript.language));
    if (transcript.state === "incomplete" && !canRetry) notes.push(t("incompleteNote"));
    if (transcript.note) notes.push(t(`note_${transcript.note}`));
    if (transcript.state === "complete" && !transcript.segments.length) notes.push(t("noSpeech"));
    element("text-note").textContent = notes.join(" · ");
    element("text-note").hidden = !notes.length;
    element("segments").lang = transcript.language ?? "";
  }

  #showSaved(sentence) {
    if (this.open && !this.#entry.job?.isOpen) element("save-state").textContent = sentence;
  }
}
