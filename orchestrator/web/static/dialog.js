// Windows over the page: the browser keeps the focus inside, Escape closes them, and the focus goes back to where it was.
//
//   const answer = await ask("Cancel this job?", "What runs is stopped.", "Cancel the job");   // true or false
//   dialog("Fork", form, [button("Fork", send, { kind: "primary" })]);

import { el } from "./dom.js";
import { busily } from "./ui.js";

let made = 0;

/** Opens one; gives `{ box, close }`. `closed` is told when it is gone, whoever closed it. */
export function dialog(title, content, actions = [], { wide = false, closed = () => {} } = {}) {
  made += 1;
  const id = `dialog-${made}`;
  const close = () => box.close();
  const box = el(
    wide ? "dialog.wide" : "dialog", { "aria-labelledby": id },
    el(
      "div.dialog-head", {},
      el("h2", { id }, title),
      el("button.quiet", { type: "button", "aria-label": "Close", onclick: close }, "×"),
    ),
    el("div.dialog-body", {}, content),
    actions.length ? el("div.dialog-foot", {}, actions) : null,
  );
  box.addEventListener("close", () => {
    box.remove();
    closed();
  });
  box.addEventListener("click", (event) => {
    if (event.target === box) close();
  });
  document.body.append(box);
  box.showModal();
  return { box, close };
}

/** Asks for a yes. */
export function ask(title, text, yes, kind = "danger") {
  return new Promise((resolve) => {
    let answer = false;
    const sure = el(`button.${kind}`, { type: "button" }, yes);
    const no = el("button", { type: "button", autofocus: true }, "No");
    const { close } = dialog(title, el("p", {}, text), [no, sure], { closed: () => resolve(answer) });
    no.addEventListener("click", close);
    sure.addEventListener("click", () => {
      answer = true;
      close();
    });
  });
}

/** A form in a window: `send()` is called on submit; the window closes unless that fails, and then says why. */
export function formDialog(title, fields, yes, send, { kind = "primary", wide = false, complain } = {}) {
  made += 1;
  const id = `form-${made}`;
  const said = el("div", { role: "alert" });
  const form = el("form.fields", { id, novalidate: false }, fields, said);
  const sure = el(`button.${kind}`, { type: "submit", form: id }, yes);
  const no = el("button", { type: "button" }, "Close");
  const { box, close } = dialog(title, form, [no, sure], { wide });
  no.addEventListener("click", close);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    said.replaceChildren();
    busily(sure, async () => {
      try {
        await send();
        close();
      } catch (error) {
        if (complain) complain(error);
        else said.append(el("p.notice.bad", {}, error.words ?? String(error)));
      }
    });
  });
  return { box, close };
}
