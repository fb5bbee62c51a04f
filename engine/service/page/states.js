// What a stream or an incident is like: by colour, by shape and by word, so that no one of them has to be seen.

import { s } from "./dom.js";

// The worst first: what a wall sorts by.
export const ORDER = ["critical", "warning", "info", "pending", "unknown", "maintenance", "paused", "ok"];
export const WORDS = {
  critical: "critical", warning: "warning", info: "info", pending: "pending", unknown: "unknown",
  maintenance: "maintenance", paused: "paused", ok: "ok",
};
export const ABOUT = {
  critical: "an incident is open that viewers notice",
  warning: "an incident is open",
  info: "worth a word, no alarm",
  pending: "something is wrong, not yet for long enough",
  unknown: "nothing can be said now",
  maintenance: "nobody is told",
  paused: "not opened",
  ok: "judged, nothing is wrong",
};

const SHAPES = {
  critical: () => [s("path", { d: "M8 2h8l6 6v8l-6 6H8l-6-6V8z", class: "fill" }), s("path", { d: "M9 9l6 6M15 9l-6 6", class: "mark" })],
  warning: () => [s("path", { d: "M12 2.5L22.5 21h-21z", class: "fill" }), s("path", { d: "M12 9v6M12 17.6v.4", class: "mark" })],
  info: () => [s("circle", { cx: 12, cy: 12, r: 10, class: "fill" }), s("path", { d: "M12 11v6M12 7v.4", class: "mark" })],
  pending: () => [s("circle", { cx: 12, cy: 12, r: 9, class: "line" }), s("path", { d: "M12 3a9 9 0 0 1 0 18z", class: "fill" })],
  unknown: () => [s("path", { d: "M12 1.5L22.5 12 12 22.5 1.5 12z", class: "fill" }), s("path", { d: "M9.6 9.6a2.5 2.5 0 1 1 3.6 2.3c-.9.5-1.2.9-1.2 2M12 16.8v.3", class: "mark" })],
  maintenance: () => [s("rect", { x: 2, y: 2, width: 20, height: 20, rx: 4, class: "fill" }), s("path", { d: "M7 17L17 7M7 12l5-5M12 17l5-5", class: "mark" })],
  paused: () => [s("path", { d: "M8 4v16M16 4v16", class: "line thick" })],
  ok: () => [s("circle", { cx: 12, cy: 12, r: 9.5, class: "line" }), s("path", { d: "M7.5 12.5l3 3 6-6.5", class: "line" })],
};

/** The shape of a state. */
export const shape = (state, size = 18) =>
  s("svg", { class: `shape is-${state}`, viewBox: "0 0 24 24", width: size, height: size, role: "img", "aria-label": WORDS[state] || state },
    SHAPES[state] ? SHAPES[state]() : []);
