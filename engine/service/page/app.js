// Where the page begins: who is there, which view is shown, and how it looks.

import { abandon, call, get, may, onLoggedOut, session, watch } from "./api.js";
import { button, field, fill, h, toast } from "./dom.js";
import { ABOUT, ORDER, shape, WORDS } from "./states.js";
import * as mosaic from "./mosaic.js";
import * as stream from "./stream.js";
import * as edit from "./edit.js";
import * as incidents from "./incidents.js";
import * as incident from "./incident.js";
import * as workshop from "./workshop.js";
import * as system from "./system.js";

const VIEWS = [
  [/^\/?$/, mosaic, "Wall"],
  [/^\/new$/, edit, "Add a stream"],
  [/^\/streams\/([^/]+)$/, stream, "Stream"],
  [/^\/streams\/([^/]+)\/edit$/, edit, "Edit a stream"],
  [/^\/incidents$/, incidents, "Incidents"],
  [/^\/incidents\/([^/]+)$/, incident, "Incident"],
  [/^\/workshop$/, workshop, "Workshop"],
  [/^\/system$/, system, "System"],
];
const LINKS = [["#/", "Wall"], ["#/incidents", "Incidents"], ["#/workshop", "Workshop"], ["#/system", "System"]];
const THEMES = ["auto", "dark", "light"];

const head = document.getElementById("head");
const main = document.getElementById("main");
const alarm = h("span", { class: "alarm", "aria-live": "polite" });
const link = h("span", { class: "link", title: "connection" });
let leave = null, stopWall = null, shown = 0, titled = "", critical = 0;

/** Who is told of the wall: views that want it. */
export const wall = { tiles: new Map(), levels: {}, listeners: new Set() };

function theme(wanted) {
  const chosen = THEMES.includes(wanted) ? wanted : "auto";
  localStorage.setItem("theme", chosen);
  if (chosen === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  document.documentElement.dispatchEvent(new Event("theme"));
  return chosen;
}

function drawHead() {
  const now = theme(localStorage.getItem("theme"));
  const look = (chosen) => [chosen === "auto" ? "◐" : chosen === "dark" ? "☾" : "☀", h("span", { class: "wordy" }, ` ${chosen}`)];
  const turn = h("button", { class: "quiet", type: "button", title: "Colours: dark, light, or as the system has it", "aria-label": `Colours: ${now}`, onclick: () => {
    const chosen = theme(THEMES[(THEMES.indexOf(localStorage.getItem("theme")) + 1) % 3]);
    fill(turn, look(chosen));
    turn.setAttribute("aria-label", `Colours: ${chosen}`);
  } }, look(now));
  fill(head,
    h("a", { href: "#/", class: "brand" }, h("img", { src: "page/icon.svg", alt: "", width: 26, height: 26 }), "avjury"),
    session.caller ? h("nav", { "aria-label": "Views" }, LINKS.map(([href, text]) => h("a", { href }, text))) : null,
    h("span", { class: "spring" }), session.caller ? [alarm, link, h("button", { class: "quiet", type: "button", title: "Keys (?)", "aria-label": "Keys", onclick: keys }, "?")] : null, turn,
    session.caller && !session.open
      ? button(`${session.caller.name} · log out`, logOut, { class: "quiet who" })
      : null);
  mark();
}

const KEYS = [["w", "the wall"], ["i", "incidents"], ["t", "threshold workshop"], ["s", "system"], ["n", "add a stream"], ["/", "search"], ["f", "the wall on the whole screen"], ["arrows, Home, End", "from tile to tile"], ["Enter", "open what has the focus"], ["?", "this"]];

/** What keys do. */
function keys() {
  const before = document.querySelector("dialog");
  if (before) return before.close();
  const box = h("dialog", { "aria-label": "Keys", onclose: () => box.remove() }, h("h2", {}, "Keys"),
    h("dl", { class: "facts" }, KEYS.map(([key, does]) => h("div", {}, h("dt", {}, h("kbd", {}, key)), h("dd", {}, does)))),
    h("h2", {}, "States"), h("dl", { class: "facts" }, ORDER.map((state) => h("div", {}, h("dt", {}, shape(state, 18), ` ${WORDS[state]}`), h("dd", {}, ABOUT[state])))),
    h("form", { method: "dialog" }, h("button", { class: "primary" }, "Close")));
  document.body.append(box);
  box.showModal();
  return undefined;
}

/** The tab says how many streams are critical, so that it is seen from another tab. */
function entitle() {
  document.title = `${critical ? `(${critical}) ` : ""}${titled} · avjury`;
}

function mark() {
  const here = location.hash.replace(/\/streams.*|\/new$/, "/") || "#/";
  for (const one of head.querySelectorAll("nav a")) {
    const href = one.getAttribute("href");
    const on = href === "#/" ? here === "#/" : here.startsWith(href);
    if (on) one.setAttribute("aria-current", "page"); else one.removeAttribute("aria-current");
  }
}

async function show() {
  if (leave) leave();
  leave = null;
  const turn = ++shown;
  if (!session.caller) return logIn();
  const [path, query] = location.hash.replace(/^#/, "").split("?");
  const found = VIEWS.find(([pattern]) => pattern.test(path));
  mark();
  fill(main);
  main.className = "";
  if (!found) return void fill(main, h("p", { class: "empty" }, "There is no such view. ", h("a", { href: "#/" }, "To the wall")));
  const [pattern, view, title] = found;
  titled = title;
  entitle();
  const given = pattern.exec(path).slice(1).map(decodeURIComponent);
  try {
    const end = await view.show(main, given[0], new URLSearchParams(query || ""));
    if (turn === shown) leave = end || null;
    else if (end) end();
  } catch (error) {
    fill(main, h("p", { class: "empty" }, error.message));
  }
  return undefined;
}

async function logOut() {
  // The view asks on its own from time to time, and would be told that it has no session any more.
  shown += 1;
  if (leave) leave();
  leave = null;
  if (stopWall) stopWall();
  stopWall = null;
  abandon();
  await call("DELETE", "session");
  await begin();
}

function logIn() {
  [titled, critical] = ["Log in", 0];
  entitle();
  const token = h("input", { type: "password", autocomplete: "current-password", required: true, id: "token" });
  const form = h("form", { class: "card login", onsubmit: async (event) => {
    event.preventDefault();
    try {
      Object.assign(session, await call("POST", "session", { token: token.value }));
      token.value = "";
      await begin();
    } catch (error) {
      toast(error.status === 401 ? "Nobody has this token." : error.message);
    }
  } }, h("h1", {}, "Log in"), field("Token", token, "Whoever runs the service gives you one (auth.tokens)."), h("button", { class: "primary" }, "Log in"));
  fill(main, form);
  token.focus();
}

function follow() {
  if (stopWall) stopWall();
  stopWall = null;
  if (!session.caller) return;
  stopWall = watch("wall/events", {
    state: (good) => {
      link.className = good ? "link live" : "link lost";
      link.textContent = good ? "live" : "no connection";
    },
    wall: (told) => {
      if (told.all) wall.tiles.clear();
      for (const tile of told.tiles) wall.tiles.set(tile.id, tile);
      for (const gone of told.gone) wall.tiles.delete(gone);
      wall.levels = told.levels;
      const bad = [...wall.tiles.values()].filter((tile) => tile.state === "critical").length;
      fill(alarm, bad ? [shape("critical", 16), ` ${bad}`] : null);
      if (bad !== critical) { critical = bad; entitle(); }
      alarm.title = bad ? `${bad} streams are critical` : "";
      for (const listener of wall.listeners) listener(told);
    },
  });
}

async function begin() {
  try {
    Object.assign(session, await get("session"));
  } catch (error) {
    fill(main, h("p", { class: "empty" }, error.message));
    setTimeout(begin, 3000);
    return;
  }
  wall.tiles.clear();
  drawHead();
  follow();
  await show();
}

onLoggedOut(() => { if (session.caller) { session.caller = null; drawHead(); follow(); show(); } });
window.addEventListener("hashchange", () => { document.querySelector("dialog")?.close(); show().then(() => main.focus({ preventScroll: true })); window.scrollTo(0, 0); });
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /INPUT|SELECT|TEXTAREA/.test(event.target.tagName)) return;
  const to = { w: "#/", i: "#/incidents", t: "#/workshop", s: "#/system", n: may("operator") ? "#/new" : null }[event.key];
  if (to) location.hash = to;
  if (event.key === "?" && session.caller) keys();
  if (event.key === "f" && session.caller) { if (VIEWS[0][0].test(location.hash.replace(/^#/, "").split("?")[0])) mosaic.screenful(); else location.hash = "#/?screen=full"; }
  if (event.key === "/") { const find = main.querySelector("input[type=search]"); if (find) { event.preventDefault(); find.focus(); } }
});
begin();
