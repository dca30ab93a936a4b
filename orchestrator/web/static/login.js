// The form that takes a key. The API keeps it in a cookie that no script can read.

import { Problem, post } from "./api.js";
import { el, replace } from "./dom.js";
import { busily, field } from "./ui.js";

/** Shows it in `main`; `done` is called when the key was taken. */
export function showLogin(main, reason, done) {
  const key = el("input", {
    type: "password", name: "key", required: true, autocomplete: "current-password", spellcheck: "false",
    placeholder: "trp_…", maxlength: "200",
  });
  const said = el("div", { role: "alert" }, reason ? el("p.notice.waits", {}, reason) : null);
  const enter = el("button.primary", { type: "submit" }, "Log in");
  const form = el(
    "form.login.card", {},
    el("h1", { tabindex: "-1" }, "Troupe"),
    el("p.soft", {}, "Log in with an API key. Who runs this fleet makes one with ", el("code", {}, "troupe keys create"), "."),
    said,
    field("API key", key),
    enter,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busily(enter, async () => {
      try {
        await post("/login", { key: key.value.trim() }, { login: false });
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        replace(said, el("p.notice.bad", {}, problem.status === 401 || problem.status === 422 ? "This key is not valid." : problem.words));
        key.select();
        key.focus();
        return;
      }
      await done();
    });
  });
  document.title = "Log in · Troupe";
  replace(main, el("div.login-place", {}, form));
  key.focus();
}
