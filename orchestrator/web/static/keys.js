// For administrators: keys, and what was done with them.

import { get, left, query, remove } from "./api.js";
import { ask } from "./dialog.js";
import { el, replace } from "./dom.js";
import { moment } from "./format.js";
import { makeKey } from "./key_making.js";
import { ago, button, card, empty, failure, heading, loading, notice, table, tag, toast, until } from "./ui.js";
import { may, visitor } from "./visitor.js";

const LINES = 100;
const MOST_LINES = 1000;

export async function show(context) {
  context.title("Keys");
  if (!may("admin")) {
    context.main.append(heading("Keys"), notice("waits", "This is for administrators: your key has not the scope admin."));
    return;
  }
  const list = el("div", {}, loading("Reading the keys"));
  const log = el("div", {}, loading("Reading the log"));
  let lines = LINES;
  const readKeys = fetching(list, async () => {
    const keys = await get("/keys", { signal: context.signal });
    return keys.length ? keyTable(keys, () => refresh()) : empty("No key was made yet.", "Until there is one, only this machine may come in, and may do everything.");
  });
  const readLog = fetching(log, async () => {
    const found = await get(`/audit${query({ limit: lines })}`, { signal: context.signal });
    if (!found.length) return empty("Nothing was written yet.");
    const more = found.length === lines && lines < MOST_LINES
      ? el("div.foot", {}, button("More", () => { lines = MOST_LINES; return readLog(); }, { kind: "small" })) : null;
    return [auditTable(found), more];
  });
  const refresh = () => Promise.all([readKeys(), readLog()]);
  context.main.append(
    heading("Keys", button("New key", () => makeKey(() => refresh()), { kind: "primary" })),
    card("All keys", null, list),
    card("What was done", button("Refresh", readLog, { kind: "small" }), log),
  );
  await refresh();
}

function fetching(box, make) {
  const read = async () => {
    try {
      replace(box, await make());
    } catch (error) {
      if (!left(error)) replace(box, failure(error, read));
    }
  };
  return read;
}

function keyTable(keys, changed) {
  return table("Keys", [
    { name: "Key", of: (one) => [el("span.strong", {}, one.name || "without a name"), el("span.about.mono", {}, one.id)] },
    visitor().operator ? { name: "Tenant", of: (one) => (one.tenant === "*" ? tag("operator", "busy") : one.tenant) } : null,
    { name: "Scopes", of: (one) => el("span.tags", {}, one.scopes.map((scope) => tag(scope))) },
    { name: "State", of: stateOf },
    { name: "Made", number: true, of: (one) => ago(one.created_at, " ago") },
    { name: "Change", of: (one) => (isOpen(one) ? button("Revoke", () => revoke(one, changed), { kind: "danger.small", "aria-label": `Revoke ${one.name || one.id}` }) : "") },
  ].filter(Boolean), [...keys].sort((one, other) => Number(isOpen(other)) - Number(isOpen(one)) || other.created_at.localeCompare(one.created_at)));
}

const isOpen = (key) => !key.revoked_at && !(key.expires_at && Date.parse(key.expires_at) <= Date.now());

function stateOf(key) {
  if (key.revoked_at) return [tag("revoked", "bad"), " ", el("span.soft", {}, ago(key.revoked_at, " ago"))];
  if (!isOpen(key)) return tag("expired", "off");
  return [tag("valid", "good"), key.expires_at ? el("span.soft", {}, " for ", until(key.expires_at)) : ""];
}

async function revoke(key, changed) {
  const own = key.id === visitor().key;
  const text = own ? "This is the key that you are logged in with: you will be logged out." : "Whoever uses it is refused from now on.";
  if (!(await ask(`Revoke ${key.name || key.id}?`, text, "Revoke it"))) return;
  await remove(`/keys/${key.id}`);
  toast("The key is revoked.");
  await changed();
}

function auditTable(lines) {
  return table("What was done with keys, newest first", [
    { name: "When", of: (one) => el("time.nowrap", { datetime: one.at }, moment(one.at)) },
    { name: "Key", of: (one) => el("span.mono", {}, one.key ?? "–") },
    visitor().operator ? { name: "Tenant", of: (one) => one.tenant ?? "–" } : null,
    { name: "Action", of: (one) => one.action },
    { name: "Object", of: (one) => el("span.mono.object", {}, one.object || "–") },
    { name: "Outcome", of: (one) => tag(one.outcome, one.outcome === "ok" ? "good" : "bad") },
    { name: "Address", of: (one) => one.address },
  ].filter(Boolean), lines);
}
