// What this browser remembers of its user: choices, and the API key until the tab is closed.

/** Of a Storage of the browser, which may forbid it; then nothing is remembered. */
class Memory {
  constructor(getStorage) {
    try {
      this.storage = getStorage();
    } catch {
      this.storage = null;
    }
  }

  get(name) {
    return this.storage?.getItem(`asr-api-${name}`) ?? null;
  }

  set(name, text) {
    this.storage?.setItem(`asr-api-${name}`, text);
  }
}

export const choices = new Memory(() => localStorage);
export const tabMemory = new Memory(() => sessionStorage);
