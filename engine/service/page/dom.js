// Elements without markup: text only ever becomes text, so that nothing a stream is called can become code.

const SVG = "http://www.w3.org/2000/svg";

function build(element, properties, children) {
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, v] of Object.entries(value)) element.style.setProperty(key, v);
    else if (name === "value" || name === "checked" || name === "disabled" || name === "srcObject") element[name] = value;
    else element.setAttribute(name === "className" ? "class" : name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

/** An HTML element: h("a", {href: "#/x", class: "y", onclick: f}, "text", child). */
export const h = (tag, properties, ...children) => build(document.createElement(tag), properties, children);

/** An SVG element. */
export const s = (tag, properties, ...children) => build(document.createElementNS(SVG, tag), properties, children);

/** Takes the place of all children. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

/** Builds what an element holds anew only where something of it changed: focus and open lists stay. */
export function keyed(element, key, build) {
  const now = JSON.stringify(key);
  if (element.dataset.key === now) return;
  element.dataset.key = now;
  fill(element, build());
}

/** Calls at most once per so many milliseconds, the last call for certain. */
export function calm(ms, call) {
  let timer = null;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...given), ms);
  };
}

/** A short message; what the service said of a failure, or a word of success. */
export function toast(message, kind = "bad") {
  const shown = h("div", { class: `toast ${kind}` }, message);
  document.getElementById("toasts").append(shown);
  setTimeout(() => shown.remove(), kind === "bad" ? 9000 : 4000);
}

/** A button that runs something which may fail, and says so. */
export function button(label, act, properties = {}) {
  const made = h("button", { type: "button", ...properties, onclick: async () => {
    made.disabled = true;
    try { await act(made); } catch (error) { toast(error.message); } finally { made.disabled = false; }
  } }, label);
  return made;
}

/** A labelled input. */
export const field = (label, input, hint) =>
  h("label", { class: "field" }, h("span", {}, label), input, hint ? h("small", {}, hint) : null);

export const select = (options, value, properties = {}) => {
  const made = h("select", properties, options.map((o) => {
    const [key, text] = Array.isArray(o) ? o : [o, o];
    return h("option", { value: key }, text);
  }));
  made.value = value;
  return made;
};
