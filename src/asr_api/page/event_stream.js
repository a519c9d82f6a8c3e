// Server-sent events: text as it arrives → the events that are complete, by the rules of the HTML standard.

export class EventStream {
  #rest = "";

  /** The next part of the stream, which may end anywhere → `{name, data}` of each event that has data. */
  push(text) {
    const blocks = (this.#rest + text).split("\n\n");
    this.#rest = blocks.pop();
    return blocks.map(parseEvent).filter((event) => event.data);
  }
}

function parseEvent(block) {
  const event = { name: "message", data: "" };
  for (const line of block.split("\n")) {
    const [, field, value] = /^(\w*):? ?(.*)$/su.exec(line);
    if (field === "event") event.name = value;
    if (field === "data") event.data += event.data ? `\n${value}` : value;
  }
  return event;
}
