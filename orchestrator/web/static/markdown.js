// Markdown as elements: what agents write, and nothing more. No text is ever made into markup: raw HTML stays text, links
// are http and https only, pictures are their words.
//
//   markdown(job.answer, { cite: (number) => openSource(number), cited: (number) => number <= job.sources.length })
//
// Headings, paragraphs, lists (nested), tables, quotes, rules, fenced code; code, bold, italic, struck, links, `[1]`.

import { el } from "./dom.js";

const MAX_DEPTH = 8;
const MAX_INLINE_CHARS = 8000; // of one line: a longer one is shown as it is, for reading it could take long
const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+-]*)/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const QUOTE = /^ {0,3}> ?(.*)$/;
const DIVIDER = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;
const INLINE =
  /(`{1,9})([^`]|[^`][^]*?[^`])\1(?!`)|\*\*(?=\S)([^]*?\S)\*\*|__(?=\S)([^]*?\S)__(?!\w)|\*(?=[^\s*])([^*]*?[^\s*])\*|(?<!\w)_(?=\S)([^_]*?\S)_(?!\w)|~~(?=\S)([^]*?\S)~~|!?\[([^\]\n]{1,500})\]\(\s*<?([^\s()<>]{1,2000}(?:\([^\s()]*\)[^\s()<>]*)*)>?(?:\s+"[^"\n]*")?\s*\)|\[(\d{1,4}(?:\s*,\s*\d{1,4})*)\]|(https?:\/\/[^\s<>"'`|]{2,2000})|\\([!-/:-@[-`{-~])/;

/** A box of elements. `cite(number)` opens a source; `cited(number)` says whether there is one. `level` is that of the
 * highest headings; none is more than one below the heading before it, as screen readers expect. */
export function markdown(text, { cite = null, cited = () => true, level = 3 } = {}) {
  const means = { cite, cited, level, last: level - 1 };
  return el("div.markdown", {}, blocks(String(text).replaceAll("\r\n", "\n").split("\n"), means, 0));
}

function blocks(lines, means, depth) {
  const found = [];
  let at = 0;
  while (at < lines.length) {
    const [made, next] = block(lines, at, means, depth);
    if (made) found.push(made);
    at = next;
  }
  return found;
}

function block(lines, at, means, depth) {
  const line = lines[at];
  if (!line.trim()) return [null, at + 1];
  const fence = FENCE.exec(line);
  if (fence) return code(lines, at, fence);
  const heading = HEADING.exec(line);
  if (heading) return [titled(heading, means), at + 1];
  if (RULE.test(line)) return [el("hr"), at + 1];
  if (line.includes("|") && DIVIDER.test(lines[at + 1] ?? "") && lines[at + 1].includes("-")) return table(lines, at, means);
  if (depth < MAX_DEPTH && QUOTE.test(line)) return quote(lines, at, means, depth);
  if (depth < MAX_DEPTH && ITEM.test(line)) return list(lines, at, means, depth);
  return paragraph(lines, at, means);
}

// No level is left out, whatever the text does: screen readers walk by them.
function titled([, marks, words], means) {
  means.last = Math.min(6, means.level + marks.length - 1, means.last + 1);
  return el(`h${means.last}`, {}, inline(words, means));
}

function code(lines, at, fence) {
  const content = [];
  let end = at + 1;
  while (end < lines.length && !(lines[end].trim().startsWith(fence[1]) && !lines[end].trim().slice(fence[1].length).trim())) {
    content.push(lines[end]);
    end += 1;
  }
  return [el("pre", { tabindex: "0" }, el("code", {}, content.join("\n"))), end + 1];
}

function quote(lines, at, means, depth) {
  const inner = [];
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) {
    inner.push(QUOTE.exec(lines[end])[1]);
    end += 1;
  }
  return [el("blockquote", {}, blocks(inner, means, depth + 1)), end];
}

// Items of one list: what is indented further belongs to the item above it.
function list(lines, at, means, depth) {
  const [, indent, mark] = ITEM.exec(lines[at]);
  const ordered = /\d/.test(mark);
  const made = el(ordered ? "ol" : "ul", ordered && Number.parseInt(mark, 10) !== 1 ? { start: Number.parseInt(mark, 10) } : {});
  let end = at;
  while (end < lines.length) {
    const item = ITEM.exec(lines[end]);
    if (!item || item[1].length > indent.length + 1 || item[1].length < indent.length || /\d/.test(item[2]) !== ordered) break;
    const inner = [item[3]];
    end += 1;
    while (end < lines.length) {
      const line = lines[end];
      const deeper = /^\s*/.exec(line)[0].length > indent.length + 1;
      const blank = !line.trim();
      if (blank && !(/^\s*/.exec(lines[end + 1] ?? "")[0].length > indent.length + 1 && (lines[end + 1] ?? "").trim())) break;
      if (!blank && !deeper && (ITEM.test(line) || starts(line))) break;
      if (!blank && !deeper && !inner.at(-1).trim()) break;
      inner.push(line.replace(new RegExp(`^\\s{0,${indent.length + mark.length + 1}}`), ""));
      end += 1;
    }
    const parts = blocks(inner, means, depth + 1);
    made.append(el("li", {}, parts.length && parts[0].tagName === "P" ? [...parts[0].childNodes, ...parts.slice(1)] : parts));
    if (end < lines.length && !lines[end].trim() && ITEM.test(lines[end + 1] ?? "")) end += 1;
  }
  return [made, end];
}

const starts = (line) => HEADING.test(line) || FENCE.test(line) || QUOTE.test(line) || RULE.test(line);

function table(lines, at, means) {
  const cells = (line) => line.trim().replace(/^\||(?<!\\)\|$/g, "").split(/(?<!\\)\|/).map((one) => one.trim().replaceAll("\\|", "|"));
  const ways = cells(lines[at + 1]).map((one) => (/^:-+:$/.test(one) ? "middle" : /-:$/.test(one) ? "number" : ""));
  const row = (line, name) =>
    el("tr", {}, cells(line).slice(0, ways.length).map((one, place) => el(ways[place] ? `${name}.${ways[place]}` : name, name === "th" ? { scope: "col" } : {}, inline(one, means))));
  const body = el("tbody");
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|") && lines[end].trim()) {
    body.append(row(lines[end], "td"));
    end += 1;
  }
  const made = el("table", {}, el("thead", {}, row(lines[at], "th")), body);
  return [el("div.scroll", { tabindex: "0", role: "region", "aria-label": "Table" }, made), end];
}

function paragraph(lines, at, means) {
  const inner = [lines[at]];
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !starts(lines[end]) && !ITEM.test(lines[end])) {
    inner.push(lines[end]);
    end += 1;
  }
  const parts = inner.map((line, place) => [inline(line.trim(), means), / {2}$/.test(line) && place < inner.length - 1 ? el("br") : " "]);
  return [el("p", {}, parts), end];
}

// The first thing of a text that means something, then what is after it. Inner parts are looked at in turn.
function inline(text, means, depth = 0) {
  if (text.length > MAX_INLINE_CHARS) return [text];
  const found = [];
  let rest = text;
  while (rest) {
    const hit = depth < MAX_DEPTH ? INLINE.exec(rest) : null;
    if (!hit) {
      found.push(rest);
      break;
    }
    if (hit.index) found.push(rest.slice(0, hit.index));
    found.push(part(hit, means, depth));
    rest = rest.slice(hit.index + hit[0].length);
  }
  return found;
}

function part(hit, means, depth) {
  const [whole, , code, strong, strong2, soft, soft2, struck, words, address, numbers, bare, escaped] = hit;
  const inner = (text) => inline(text, means, depth + 1);
  if (code !== undefined) return el("code", {}, code.trim() ? code.replace(/^ (.*) $/, "$1") : code);
  if (strong ?? strong2) return el("strong", {}, inner(strong ?? strong2));
  if (soft ?? soft2) return el("em", {}, inner(soft ?? soft2));
  if (struck) return el("s", {}, inner(struck));
  if (escaped) return escaped;
  if (words !== undefined) return whole.startsWith("!") ? `[picture: ${words}]` : link(address, inner(words));
  if (numbers) return citations(whole, numbers, means);
  const [, url, tail] = /^(.*?)([.,;:!?)\]]*)$/.exec(bare);
  return [link(url, [url]), tail];
}

function link(address, content) {
  let url = null;
  try {
    url = new URL(address);
  } catch {
    return content;
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") return content;
  return el("a", { href: url.href, rel: "noopener noreferrer nofollow", target: "_blank" }, content);
}

function citations(whole, numbers, { cite, cited }) {
  const ones = numbers.split(",").map((one) => Number(one.trim()));
  if (!cite || !ones.every(cited)) return whole;
  return ones.map((one) =>
    el("button.cite", { type: "button", "aria-label": `Source ${one}`, onclick: () => cite(one) }, String(one)));
}
