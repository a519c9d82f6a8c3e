// A Word document (Office Open XML): the title, and a paragraph for each passage with its time and speaker.

import { zip } from "./zip.js";

const MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
const HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n';
const OFFICE = "http://schemas.openxmlformats.org";
const CONTENT_TYPES = `${HEAD}<Types xmlns="${OFFICE}/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/>
<Override PartName="/word/document.xml" ContentType="${MEDIA_TYPE}.main+xml"/>
</Types>`;
const RELATIONS = `${HEAD}<Relationships xmlns="${OFFICE}/package/2006/relationships">
<Relationship Id="rId1" Type="${OFFICE}/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/>
</Relationships>`;
const RIGHT_TO_LEFT = /^[^\p{L}]*[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}]/u;

/** clock: writes milliseconds. Returns a Blob. */
export function docx({ title, segments }, clock) {
  const paragraphs = segments.map((segment) => {
    const head = [run(clock(segment.startMs), '<w:color w:val="808080"/>')];
    if (segment.speaker) head.push(run(segment.speaker, "<w:b/>"));
    return paragraph([...head, run(segment.text.trim())], RIGHT_TO_LEFT.test(segment.text) ? "<w:bidi/>" : "");
  });
  const body = [paragraph([run(title, '<w:b/><w:sz w:val="32"/>')]), ...paragraphs].join("\n");
  const namespace = `xmlns:w="${OFFICE}/wordprocessingml/2006/main"`;
  const document = `${HEAD}<w:document ${namespace}><w:body>\n${body}\n</w:body></w:document>`;
  const files = { "[Content_Types].xml": CONTENT_TYPES, "_rels/.rels": RELATIONS, "word/document.xml": document };
  return new Blob([zip(files)], { type: MEDIA_TYPE });
}

function paragraph(runs, properties = "") {
  const spacing = '<w:spacing w:after="120"/>';
  return `<w:p><w:pPr>${properties}${spacing}</w:pPr>${runs.join(run("  "))}</w:p>`;
}

function run(text, properties = "") {
  return `<w:r><w:rPr>${properties}</w:rPr><w:t xml:space="preserve">${escaped(text)}</w:t></w:r>`;
}

/** For XML 1.0, which has no control characters. */
function escaped(text) {
  const legal = text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/gu, "");
  return legal.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
