// Rows over time: steps, and below them their attempts, waits and calls, made when they are opened.
const time = document.getElementById("time");
const rows = document.getElementById("rows");
const axis = document.getElementById("axis");
const total = finish - begin;
let wide = 1;
let shown = [];
const made = new Map();

const percent = (ms) => `${Math.max(0, Math.min(100, (ms * 100) / total))}%`;

// What stands below a span: of a step that had a single attempt, the calls of that.
function partsOf(span) {
  const children = childrenOf(span);
  if (span.kind === "step" && children.length === 1 && children[0].kind === "attempt") return childrenOf(children[0]);
  return children;
}

function drawRows() {
  shown = [];
  for (const span of partsOf(root)) listRows(span, 1);
  rows.replaceChildren(...shown.map(({ span, level }) => rowOf(span, level)));
  if (!shown.length) rows.append(make("p", "empty", state.words.length || state.hidden.size ? "Nothing is like that." : "There are no steps yet."));
  const focus = shown.find(({ span }) => span === state.picked) || shown[0];
  for (const { span } of shown) made.get(span.id).tabIndex = -1;
  if (focus) made.get(focus.span.id).tabIndex = 0;
}

function listRows(span, level) {
  if (span.kind === "step" && state.hidden.has(familyOf(span)) && !delegates(span)) return;
  const searching = state.words.length > 0;
  if (searching && !holds(span)) return;
  shown.push({ span, level });
  if (state.open.has(span.id) || (searching && !finds(span))) for (const part of partsOf(span)) listRows(part, level + 1);
}

const delegates = (span) => trace.spans.some((one) => one.kind === "step" && one !== span && spans.get(one.parent)?.step === span.step);
const holds = (span) => finds(span) || childrenOf(span).some(holds);

function rowOf(span, level) {
  let row = made.get(span.id);
  if (!row) made.set(span.id, (row = makeRow(span, level)));
  const parts = partsOf(span);
  if (parts.length) {
    const open = shown.some((one) => one.span.id === parts[0].id) || state.open.has(span.id);
    row.setAttribute("aria-expanded", String(open));
    row.querySelector(".fold").textContent = open ? "▼" : "▶";
  }
  return row;
}

function makeRow(span, level) {
  const row = make("div", `row ${span.kind}`);
  row.setAttribute("role", "treeitem");
  row.setAttribute("aria-level", level);
  row.setAttribute("aria-label", [KIND_NAMES[span.kind], span.name, span.status, duration(span.duration_ms)].filter(Boolean).join(", "));
  row.dataset.id = span.id;
  const label = make("div", "label");
  label.style.paddingLeft = `${(level - 1) * 14 + 6}px`;
  const fold = make("span", partsOf(span).length ? "fold" : "fold none", "▶");
  fold.addEventListener("click", (event) => { event.stopPropagation(); toggle(span); });
  label.append(fold, make("span", `dot ${familyOf(span)}`), make("span", "name", span.name));
  const who = span.kind === "step" ? (span.agent === span.name ? "" : span.agent) : span.kind === "attempt" ? (span.worker || "").split("@")[0] : span.error ? span.error.code : "";
  if (who) label.append(make("span", "who", who));
  const track = make("div", "track");
  drawBars(span, track);
  row.append(label, track);
  row.addEventListener("click", () => { row.focus(); pick(span, "time"); });
  row.addEventListener("keydown", (event) => rowKey(event, span));
  return row;
}

function drawBars(span, track) {
  if (span.start === null && span.end === null) return;
  const parts = span.kind === "step" ? childrenOf(span).filter((one) => one.kind !== "step") : [];
  if (parts.length) track.append(bar(span, `whole ${familyOf(span)}`));
  for (const one of parts.length ? parts : [span]) {
    const calls = one.kind.endsWith("_call") || one.kind === "custom";
    if (one.start !== null || one.end !== null) track.append(bar(one, `${calls || one.kind === "park" || one.kind === "retry" ? one.kind : ""} ${calls && familyOf(one) === "good" ? "" : familyOf(one)}`));
  }
  const took = make("span", "took", duration(span.duration_ms));
  took.style.left = percent((span.end ?? span.start) - begin);
  track.append(took);
}

function bar(span, kind) {
  const one = make("div", `bar ${kind}`);
  const start = span.start ?? span.end;
  one.style.left = percent(start - begin);
  one.style.width = percent((span.end ?? start) - start);
  return one;
}

function drawAxis() {
  axis.replaceChildren(make("b", "", "from the submit on"));
  const least = total / (wide * Math.max(3, (time.clientWidth - 300) / 110));
  const nice = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 216e5, 432e5, 864e5, 1728e5];
  const every = nice.find((one) => one >= least) || Math.ceil(least / 864e5) * 864e5;
  const label = parseFloat(getComputedStyle(time).getPropertyValue("--label")) || 290;
  const room = parseFloat(getComputedStyle(document.documentElement).fontSize) ? (window.innerWidth <= 620 ? 56 : 74) : 74;
  for (let at = 0; at <= total; at += every) {
    const mark = make("span", "", at === 0 ? "0" : duration(at).replace(".0 s", " s"));
    mark.style.left = `calc(${label + 4}px + (100% - ${label + room}px) * ${at / total})`;
    axis.append(mark);
  }
}

function zoomTime(next) {
  const middle = (time.scrollLeft + time.clientWidth / 2) / Math.max(1, time.scrollWidth);
  wide = Math.max(1, Math.min(200, next));
  time.style.setProperty("--wide", `${wide * 100}%`);
  drawAxis();
  time.scrollLeft = middle * time.scrollWidth - time.clientWidth / 2;
}

function toggle(span, open = !state.open.has(span.id)) {
  if (open) state.open.add(span.id);
  else state.open.delete(span.id);
  drawRows();
}

function rowKey(event, span) {
  const at = shown.findIndex((one) => one.span === span);
  const move = (to) => { const next = shown[to]; if (next) { const row = made.get(next.span.id); row.tabIndex = 0; row.focus(); pick(next.span, "time"); } };
  const keys = {
    ArrowDown: () => move(at + 1), ArrowUp: () => move(at - 1), Home: () => move(0), End: () => move(shown.length - 1),
    ArrowRight: () => (partsOf(span).length && !state.open.has(span.id) ? refocus(span, true) : move(at + 1)),
    ArrowLeft: () => (state.open.has(span.id) ? refocus(span, false) : move(shown.findLastIndex((one, place) => place < at && one.level < shown[at].level))),
    Enter: () => { pick(span, "time"); panel.focus({ preventScroll: true }); }, " ": () => refocus(span),
  };
  if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
}

function refocus(span, open) {
  toggle(span, open);
  made.get(span.id).focus();
}

// Opens all that stands above a span, so that it has a row.
function reveal(span) {
  for (let above = spans.get(span.parent); above; above = spans.get(above.parent)) state.open.add(above.id);
}

function markRow(span, where) {
  if (where !== "time" && span.kind !== "job" && !shown.some((one) => one.span === span)) { reveal(span); drawRows(); }
  for (const row of rows.querySelectorAll(".picked")) row.classList.remove("picked");
  const row = made.get(span.id);
  if (!row || !row.isConnected) return;
  for (const other of rows.querySelectorAll('[tabindex="0"]')) other.tabIndex = -1;
  row.tabIndex = 0;
  row.classList.add("picked");
  if (where && where !== "time") {
    const [inner, outer] = [row.getBoundingClientRect(), time.getBoundingClientRect()];
    if (inner.top < outer.top + 30 || inner.bottom > outer.bottom) time.scrollTop += inner.top - outer.top - outer.height / 3;
  }
}

state.listeners.push(markRow);
