// The panel that tells all of one span.
const panel = document.getElementById("details");

function showDetails(span) {
  panel.replaceChildren();
  panel.classList.add("open");
  const title = make("div", "title");
  title.append(make("strong", "", span.kind === "job" ? "Job" : span.name));
  const close = make("button", "close", "Close");
  close.type = "button";
  close.addEventListener("click", () => panel.classList.remove("open"));
  title.append(close);
  const sub = make("p", "sub");
  sub.append(make("span", `chip ${familyOf(span)}`, span.status.replaceAll("_", " ")), make("span", "", KIND_NAMES[span.kind]));
  panel.append(title, sub, facts(span));
  if (span.error) block("Error", `${span.error.code}${span.error.message ? `: ${span.error.message}` : ""}`, "error");
  relations(span);
  if (span.input) block(span.kind === "step" ? "What to do" : "Input", span.input);
  if (span.output) block("Output", span.output);
  panel.scrollTop = 0;
}

function facts(span) {
  const list = make("dl", "facts-list");
  const add = (name, value) => { if (value !== undefined && value !== null && value !== "") list.append(make("dt", "", name), make("dd", "", String(value))); };
  if (span.kind !== "step" && span.kind !== "job") add("Step", span.step);
  if (span.kind !== "attempt") add("Attempt", span.attempt);
  add("Agent", span.agent);
  add("Worker", span.worker);
  add("Queue", span.queue);
  if (span.start !== null) add(span.kind === "job" ? "Submitted" : "Started", new Date(span.start).toLocaleString() + (span.start > begin ? ` (+${duration(span.start - begin)})` : ""));
  if (span.ended_at) add("Ended", new Date(span.end).toLocaleString());
  add(span.ended_at ? "Took" : "Until now", duration(span.duration_ms));
  if (span.usage) {
    add("Cost", money(span.usage.cost_usd));
    add("Model calls", span.usage.requests || "");
    add("Tool calls", span.usage.tool_calls || "");
    const named = [["input_tokens", "in"], ["output_tokens", "out"], ["cache_read_tokens", "from cache"], ["cache_write_tokens", "to cache"]];
    add("Tokens", named.filter(([name]) => span.usage[name]).map(([name, word]) => `${span.usage[name].toLocaleString("en-GB")} ${word}`).join(", "));
  }
  for (const [name, value] of Object.entries(span.attributes || {})) {
    if (name === "depends_on" || name === "parent") continue;
    const shown = name.endsWith("_ms") && typeof value === "number" ? duration(value) : typeof value === "string" ? value : JSON.stringify(value);
    add(name.replace(/_ms$/, "").replaceAll("_", " "), shown);
  }
  add("Span", span.id);
  return list;
}

function relations(span) {
  const above = spans.get(span.parent);
  const after = span.kind === "step" ? steps.filter((one) => (one.links || []).includes(span.id)) : [];
  for (const [name, ones] of [
    ["Part of", above ? [above] : []],
    ["Builds on", (span.links || []).map((id) => spans.get(id)).filter(Boolean)],
    ["What builds on it", after],
    ["Attempts and waits", span.kind === "step" ? childrenOf(span) : []],
    ["Delegated", childrenOf(span).filter((one) => one.kind === "step" && span.kind === "attempt")],
    ["Calls", childrenOf(span).filter((one) => one.kind.endsWith("_call") || one.kind === "custom")],
  ]) {
    if (!ones.length) continue;
    const links = make("div", "links");
    for (const one of ones.slice(0, 60)) {
      const link = make("button", "", `${MARKS[familyOf(one)]} ${one.kind === "job" ? "the job" : one.name}`);
      link.type = "button";
      link.addEventListener("click", () => pick(one, "details"));
      links.append(link);
    }
    if (ones.length > 60) links.append(make("span", "", `and ${ones.length - 60} more`));
    panel.append(make("h3", "", name), links);
  }
}

function block(name, text, kind) {
  panel.append(make("h3", "", name), make("pre", kind, text));
}

state.listeners.push(showDetails);
