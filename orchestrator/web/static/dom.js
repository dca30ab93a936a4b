// Builds elements. Texts are only ever set as text: nothing here can turn a string into markup.
//
//   el("button.primary", { type: "button", onclick: save, "aria-busy": saving }, "Save")
//   replace(box, el("p", {}, "One"), condition && el("p", {}, "Two"))
//   keyed(list, jobs, (job) => job.job_id, makeRow, updateRow)

const SVG = "http://www.w3.org/2000/svg";

/** An element. `name` may carry classes: `p.note.small`. Children: nodes, texts, numbers, lists; null and false are left out. */
export function el(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  return dressed(document.createElement(tag), classes, attributes, children);
}

/** The same for SVG. */
export function svg(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  return dressed(document.createElementNS(SVG, tag), classes, attributes, children);
}

function dressed(element, classes, attributes, children) {
  if (classes.length) element.classList.add(...classes);
  set(element, attributes);
  add(element, children);
  return element;
}

/** Sets attributes: `on…` are listeners, true and false are there or not, `style` and `dataset` are objects, `value` and
 * `checked` are what the field holds. */
export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [rule, one] of Object.entries(value)) element.style.setProperty(rule, one);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "value" || name === "checked") element[name] = value;
    else if (value === null || value === undefined || value === false) element.removeAttribute(name);
    else element.setAttribute(name, value === true ? "" : value);
  }
  return element;
}

/** Adds children at the end. */
export function add(element, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === "") continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

/** Replaces all children. */
export function replace(element, ...children) {
  element.replaceChildren();
  return add(element, ...children);
}

/** Changes a text only where it differs, so that selections and screen readers are left in peace. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
  return element;
}

/** Makes the children of `parent` be those of `items`, in their order; what is there stays, with its focus and place.
 *
 * `make(item)` gives an element; `update(element, item)` is called for those that were there. */
export function keyed(parent, items, keyOf, make, update = () => {}) {
  const there = new Map();
  for (const child of parent.children) if (child.dataset.key !== undefined) there.set(child.dataset.key, child);
  const wanted = new Set(items.map((item) => String(keyOf(item))));
  for (const [key, child] of there) if (!wanted.has(key)) child.remove();
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let child = there.get(key);
    if (child) update(child, item);
    else {
      child = make(item);
      child.dataset.key = key;
    }
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
}

/** Text for screen readers alone. */
export const unseen = (text) => el("span.unseen", {}, text);
