// The beginning: who we are, what there is to see.

import { get, onConnection, onRefused } from "./api.js";
import { say } from "./dom.js";
import { showLogin } from "./login.js";
import { route, begin, again } from "./router.js";
import { drawShell, hideShell } from "./shell.js";
import { failure } from "./ui.js";
import { setVisitor, visitor } from "./visitor.js";

route("/jobs", () => import("./jobs.js"));
route("/jobs/:job", () => import("./job.js"));
route("/submit", () => import("./submit.js"));
route("/approvals", () => import("./approvals.js"));
route("/sessions", () => import("./sessions.js"));
route("/sessions/:session", () => import("./session.js"));
route("/knowledge", () => import("./knowledge.js"));
route("/knowledge/:base", () => import("./knowledge_base.js"));
route("/fleet", () => import("./fleet.js"));
route("/keys", () => import("./keys.js"));

const main = document.getElementById("main");
const connection = document.getElementById("connection");
let shown = false;
let asking = false;

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
onConnection((text) => {
  connection.hidden = !text;
  say(connection, text);
});
onRefused(() => {
  if (shown) login("Your key is no longer valid, or was logged out elsewhere.");
});

/** Who are we? Then the view of the address, else the login. */
async function start() {
  try {
    const { logged_in: known } = await get("/login", { login: false });
    if (!known) {
      login();
      return;
    }
    setVisitor(await get("/me", { login: false }));
  } catch (problem) {
    if (problem.status === 401) login();
    else main.replaceChildren(failure(problem, start));
    return;
  }
  asking = false;
  drawShell(visitor(), () => login());
  if (shown) again();
  else begin(main);
  shown = true;
}

function login(reason = "") {
  if (asking) return;
  asking = true;
  hideShell();
  showLogin(main, reason, start);
}

start();
