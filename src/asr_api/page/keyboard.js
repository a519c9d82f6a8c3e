// Keyboard shortcuts, from one table, which the help shows.

const isText = (target) =>
  target.isContentEditable ||
  target.matches("input:not([type=range], [type=checkbox], [type=radio]), textarea, select");

/**
 * Key, as the help names it → the name of an action, which is also the key of its phrase.
 * code: place on the keyboard; character: what the key types, on any layout.
 * single: works outside of text, letters with Alt also inside it; anywhere: also inside text.
 */
export const SHORTCUTS = [
  { key: "Space", code: "Space", action: "playPause", single: true },
  { key: "K", code: "KeyK", action: "playPause", single: true },
  { key: "Esc", code: "Escape", action: "playPause", anywhere: true },
  { key: "J", code: "KeyJ", action: "back10", single: true },
  { key: "L", code: "KeyL", action: "forward10", single: true },
  { key: "←", code: "ArrowLeft", action: "back5", single: true },
  { key: "→", code: "ArrowRight", action: "forward5", single: true },
  { character: "[", action: "slower", single: true },
  { character: "]", action: "faster", single: true },
  { key: "N", code: "KeyN", action: "nextDoubt", single: true },
  { character: "/", action: "find", single: true },
  { key: "Ctrl+F", code: "KeyF", action: "find", ctrl: true },
  { key: "Ctrl+S", code: "KeyS", action: "download", ctrl: true },
  { key: "Ctrl+Z", code: "KeyZ", action: "undo", ctrl: true },
  { key: "Ctrl+Shift+Z", code: "KeyZ", action: "redo", ctrl: true, shift: true },
  { key: "Ctrl+Y", code: "KeyY", action: "redo", ctrl: true },
  { key: "R", code: "KeyR", action: "record", single: true },
  { key: "F", code: "KeyF", action: "largeType", single: true },
  { character: "?", action: "help", single: true },
];
/** What the list of segments itself does with keys: for the help. */
export const EDITING_KEYS = [
  { key: "Enter, Ctrl+Enter", action: "splitHere" },
  { key: "Backspace, Delete", action: "joinHere" },
  { key: "↑ ↓", action: "nextPassage" },
];

/** actions: name → function, which returns false if there is nothing to do; allowsSingle(): whether single keys work */
export function connectKeyboard(actions, allowsSingle) {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
    const shortcut = SHORTCUTS.find((candidate) => isMeant(candidate, event, allowsSingle()));
    if (shortcut && actions[shortcut.action]() !== false) event.preventDefault();
  });
}

function isMeant({ code, character, single, anywhere, ctrl = false, shift = false }, event, allowsSingle) {
  if (code ? event.code !== code : event.key !== character) return false;
  const { target } = event;
  const hasCtrl = event.ctrlKey || event.metaKey;
  if (anywhere) return !hasCtrl && !event.altKey && (target.isContentEditable || !isText(target));
  if (ctrl)
    return hasCtrl && event.shiftKey === shift && !event.altKey && (target.isContentEditable || !isText(target));
  if (!single || hasCtrl) return false;
  if (isText(target)) return event.altKey && target.isContentEditable && /^Key/u.test(code ?? "");
  const isButtonsOwn =
    ["Space", "ArrowLeft", "ArrowRight"].includes(code) && target.matches("button, input, summary, a");
  return allowsSingle && !event.altKey && !isButtonsOwn;
}
