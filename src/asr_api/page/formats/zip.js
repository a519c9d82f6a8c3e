// A ZIP archive of small files, stored without compression, as .docx needs one.

const encoder = new TextEncoder();
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, number) => {
  for (let bit = 0; bit < 8; bit += 1) number = number & 1 ? 0xedb88320 ^ (number >>> 1) : number >>> 1;
  return number;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** files: name → text. Returns a Blob. */
export function zip(files) {
  const [parts, entries] = [[], []];
  let offset = 0;
  for (const [name, text] of Object.entries(files)) {
    const [nameBytes, bytes] = [encoder.encode(name), encoder.encode(text)];
    // Version 2.0, names in UTF-8, stored, 1980-01-01, checksum, sizes: the same fields in both headers.
    const fields = [
      [20, 2],
      [0x0800, 2],
      [0, 2],
      [0, 2],
      [0x21, 2],
      [crc32(bytes), 4],
      [bytes.length, 4],
      [bytes.length, 4],
      [nameBytes.length, 2],
      [0, 2],
    ];
    parts.push(record(0x04034b50, fields), nameBytes, bytes);
    entries.push(record(0x02014b50, [[20, 2], ...fields, [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]]), nameBytes);
    offset += 30 + nameBytes.length + bytes.length;
  }
  const num = Object.keys(files).length;
  const size = entries.reduce((sum, part) => sum + part.length, 0);
  const end = record(0x06054b50, [
    [0, 2],
    [0, 2],
    [num, 2],
    [num, 2],
    [size, 4],
    [offset, 4],
    [0, 2],
  ]);
  return new Blob([...parts, ...entries, end], { type: "application/zip" });
}

/** A signature and little-endian numbers of 2 or 4 bytes. */
function record(signature, fields) {
  const all = [[signature, 4], ...fields];
  const view = new DataView(new ArrayBuffer(all.reduce((sum, [, size]) => sum + size, 0)));
  let at = 0;
  for (const [number, size] of all) {
    if (size === 2) view.setUint16(at, number, true);
    else view.setUint32(at, number, true);
    at += size;
  }
  return new Uint8Array(view.buffer);
}
