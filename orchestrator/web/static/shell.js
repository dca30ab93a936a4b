// The bar above all views: where one can go, who one is, which colours there are.

import { post } from "./api.js";
import { el, replace } from "./dom.js";
import { here, onPath } from "./router.js";
import { button } from "./ui.js";
import { may } from "./visitor.js";
import { countOn, stopCounting } from "./waiting.js";

const PLACES = [
  ["/jobs", "Jobs", "read"],
  ["/submit", "Submit", "submit"],
  ["/approvals", "Approvals", "read"],
  ["/sessions", "Sessions", "read"],
  ["/knowledge", "Knowledge", "read"],
  ["/fleet", "Fleet", "read"],
  ["/keys", "Keys", "admin"],
];
const THEMES = { light: "dark", dark: "light" };
const top = document.getElementById("top");
const links = new Map();

/** Draws it for a visitor; `out` is called after a logout. */
export function drawShell(me, out) {
  links.clear();
  const list = el("ul", { id: "places" });
  for (const [path, name, scope] of PLACES) {
    if (!may(scope)) continue;
    const link = el("a", { href: `#${path}` }, name);
    links.set(path, link);
    list.append(el("li", {}, link));
  }
  const menu = el("button.menu", { type: "button", "aria-expanded": "false", "aria-controls": "places" }, "Menu");
  const nav = el("nav", { "aria-label": "Main" }, menu, list);
  const fold = (open) => {
    nav.classList.toggle("open", open);
    menu.setAttribute("aria-expanded", String(open));
  };
  menu.addEventListener("click", () => fold(!nav.classList.contains("open")));
  list.addEventListener("click", () => fold(false));
  nav.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !nav.classList.contains("open")) return;
    fold(false);
    menu.focus();
  });
  replace(top, el("a.brand", { href: "#/jobs" }, mark(), "Troupe"), nav, el("div.who", {}, who(me), themeButton(), logout(me, out)));
  top.hidden = false;
  markPlace(here().path);
  if (links.has("/approvals")) countOn(links.get("/approvals"));
}

/** Takes it away: nobody is logged in. */
export function hideShell() {
  top.hidden = true;
  stopCounting();
}

onPath(markPlace);

function markPlace(path) {
  for (const [place, link] of links) {
    if (path === place || path.startsWith(`${place}/`)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function who(me) {
  const tenant = me.operator ? "operator" : me.tenant;
  return el("span.me", { title: me.keyless ? "No API key was made yet: only this machine may come in." : `Key ${me.key}` },
    el("span.name", {}, me.name || "key"), " ", el("span.tag.still", {}, tenant));
}

function logout(me, out) {
  if (me.keyless) return null;
  return button("Log out", async () => {
    await post("/logout", undefined, { again: true });
    out();
  }, { kind: "quiet" });
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function themeButton() {
  const made = el("button.quiet.theme", { type: "button" });
  const tell = () => {
    const dark = isDark();
    made.textContent = dark ? "☀" : "☾";
    made.setAttribute("aria-label", dark ? "Light colours" : "Dark colours");
    made.title = dark ? "Light colours" : "Dark colours";
  };
  made.addEventListener("click", () => {
    const theme = THEMES[isDark() ? "dark" : "light"];
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem("troupe-theme", theme);
    } catch {
      // Storage may be switched off: the choice then ends with the page.
    }
    tell();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", tell);
  tell();
  return made;
}

function mark() {
  return el("img", { src: new URL("./mark.svg", import.meta.url).href, alt: "", width: "22", height: "22" });
}
