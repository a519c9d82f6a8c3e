// The progress of the open transcription: what happens now, how much is done, how long still, errors and retries.

import { element } from "./element.js";
import { clock, percent, roughTime, t, translatePage } from "./interface_language.js";

export class JobPanel {
  #job = null;

  /** onCancel(job) and onRetry() are called for buttons */
  constructor({ onCancel, onRetry }) {
    this.panel = element("job-panel");
    this.panel.append(element("job-template").content.firstElementChild.cloneNode(true));
    [this.text, this.error] = [".job-text", ".job-error"].map((name) => this.panel.querySelector(name));
    this.progress = this.panel.querySelector("progress");
    this.cancel = this.panel.querySelector(".job-cancel");
    this.retry = this.panel.querySelector(".job-retry");
    this.cancel.addEventListener("click", () => onCancel(this.#job));
    this.retry.addEventListener("click", () => onRetry());
    this.update = this.update.bind(this);
    setInterval(() => this.#job?.isOpen && this.update(), 1000); // the time that is left, and until the next try
  }

  /** job: null is none; canRetry: whether an incomplete text can be transcribed again */
  show(job, canRetry) {
    this.canRetry = canRetry;
    this.#job?.removeEventListener("change", this.update);
    this.#job = job;
    job?.addEventListener("change", this.update);
    translatePage(this.panel);
    this.update();
  }

  update() {
    const job = this.#job;
    const isShown = job?.isOpen || job?.state === "failed";
    this.panel.hidden = !isShown && !this.canRetry;
    this.progress.hidden = this.cancel.hidden = !job?.isOpen;
    this.retry.hidden = Boolean(job?.isOpen);
    this.error.hidden = !isShown || !job.error;
    this.text.textContent = isShown ? stateText(job) : t("incompleteNote");
    if (!isShown) return;
    this.progress.setAttribute("aria-label", t(`state_${job.state}`));
    if (job.share == null) this.progress.removeAttribute("value");
    else this.progress.value = job.share;
    const isSentAgain = job.state === "pausing" && job.error?.status === 0;
    const sentence = job.error ? `${errorSentence(job.error)}${isSentAgain ? ` ${t("sentAgain")}` : ""}` : "";
    if (this.error.textContent !== sentence) this.error.textContent = sentence;
  }
}

/** The server's own sentence, or ours where there was no reply. */
export function errorSentence(error) {
  return error.message || t({ broken_off: "brokenOff", unreadable: "unreadable" }[error.code] ?? "unreachable");
}

function stateText(job) {
  const parts = [t(`state_${job.state}`)];
  if (job.state === "pausing")
    parts.push(t("nextTry", { time: roughTime(Math.max(0, (job.retryAtMs - Date.now()) / 1000)) }));
  if (job.share != null) parts.push(percent(job.share));
  else if (job.state === "transcribing" && job.doneMs) parts.push(clock(job.doneMs));
  if (job.leftS != null) parts.push(t("timeLeft", { time: roughTime(job.leftS) }));
  return parts.join(" · ");
}
