// The wall: every stream a tile, the worst first.

import { encoded, look, may } from "./api.js";
import { h, fill } from "./dom.js";
import { ago, spoken } from "./format.js";
import { ABOUT, ORDER, shape, WORDS } from "./states.js";
import { wall } from "./app.js";

const PICTURES_AT_A_TIME = 4;
const PICTURE_SECONDS = 6;
const SIZES = [["fit", "Fit", "all in one view"], ["small", "S", "small tiles"], ["medium", "M", "medium tiles"], ["large", "L", "large tiles"]];
const GAP = 8, TEXT = 46, METER = 5, PLAIN = 96;
// The largest that a tile becomes where few have much room, and the smallest that can be told apart.
const WIDEST = 620, NARROWEST = 44;

/** Nothing but the wall, on the whole screen; and back. */
export function screenful() {
  if (document.body.classList.contains("kiosk")) {
    document.body.classList.remove("kiosk");
    if (document.fullscreenElement) document.exitFullscreen();
    return;
  }
  document.body.classList.add("kiosk");
  // Where the browser refuses, the page at least has nothing else on it.
  document.documentElement.requestFullscreen?.().catch(() => {});
}
document.addEventListener("fullscreenchange", () => { if (!document.fullscreenElement) document.body.classList.remove("kiosk"); });

export async function show(main, _, query) {
  // For a screen that nobody stands at: #/?screen=full
  if (query.get("screen") === "full") document.body.classList.add("kiosk");
  const tiles = new Map();
  const wanted = new Set();
  let text = "", size = SIZES.some(([one]) => one === localStorage.getItem("tiles")) ? localStorage.getItem("tiles") : window.innerWidth > 760 ? "fit" : "medium";
  let loading = 0, held = 0;

  const chips = h("div", { class: "chips", role: "group", "aria-label": "Show only" });
  const chipOf = Object.fromEntries(ORDER.map((state) => {
    const count = h("b", {});
    return [state, [h("button", { type: "button", class: `chip is-${state}`, title: ABOUT[state], hidden: true, onclick: () => {
      if (wanted.has(state)) wanted.delete(state); else wanted.add(state);
      held = 0;
      draw();
    } }, shape(state, 16), count, ` ${WORDS[state]}`), count]];
  }));
  chips.append(...ORDER.map((state) => chipOf[state][0]));
  const grid = h("div", { class: `wall ${size}`, role: "group", "aria-label": "Streams" });
  const empty = h("div", { class: "empty" }, "…");
  const search = h("input", { type: "search", placeholder: "Find a stream ( / )", "aria-label": "Find a stream", oninput: () => { text = search.value.toLowerCase(); draw(); } });
  const sizes = h("div", { class: "segments", role: "group", "aria-label": "Size of tiles" }, SIZES.map(([one, letter, about]) =>
    h("button", { type: "button", title: about, "aria-label": about, "aria-pressed": String(one === size), onclick: (event) => {
      size = one;
      localStorage.setItem("tiles", one);
      grid.className = `wall ${one}`;
      for (const b of sizes.children) b.setAttribute("aria-pressed", String(b === event.target));
      fit();
    } }, letter)));
  const bar = h("div", { class: "bar wallbar" }, chips, h("span", { class: "spring" }), h("time", { class: "clock" }), search, sizes,
    h("button", { type: "button", class: "screenful", title: "nothing but the wall, for a screen on a wall (f)", onclick: screenful }, "Full screen"),
    may("operator") ? h("a", { class: "button primary", href: "#/new" }, "Add a stream") : null);
  fill(main, bar, grid, empty);
  main.className = "wide";

  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) entry.target.tile.visible = entry.isIntersecting;
  }, { rootMargin: "100px" });

  function make(id) {
    const parts = {
      picture: h("img", { alt: "", hidden: true }), blank: h("span", { class: "blank" }), icon: h("span", {}), name: h("span", { class: "name" }),
      why: h("span", { class: "why" }), meter: h("i", {}), peak: h("b", {}),
    };
    const level = h("span", { class: "meter", "aria-hidden": "true" }, parts.meter, parts.peak);
    const node = h("a", { class: "tile", href: `#/streams/${encoded(id)}` },
      h("span", { class: "screen" }, parts.picture, parts.blank, h("span", { class: "badge" }, parts.icon)),
      level, h("span", { class: "text" }, parts.name, parts.why));
    const tile = { id, node, parts, level, visible: false, at: -Infinity, url: null, state: null };
    parts.name.textContent = id;
    node.tile = tile;
    seen.observe(node);
    return tile;
  }

  function paint(tile, told) {
    tile.told = told;
    if (tile.state !== told.state) {
      tile.node.classList.remove(`is-${tile.state}`);
      tile.node.classList.add(`is-${told.state}`);
      fill(tile.parts.icon, shape(told.state, 20));
      tile.state = told.state;
    }
    tile.node.classList.toggle("taken", told.acknowledged);
    const why = told.why.map((one) => spoken(one)).join(", ");
    const more = told.incidents > told.why.length ? ` +${told.incidents - told.why.length}` : "";
    tile.parts.why.textContent = (why ? why + more : WORDS[told.state]) + (told.since && told.state !== "ok" ? ` · ${ago(told.since)}` : "") + (told.acknowledged ? " · taken" : "");
    if (tile.node.title !== tile.parts.why.textContent) tile.node.title = `${told.id}: ${tile.parts.why.textContent}`;
    tile.node.setAttribute("aria-label", `${told.id}: ${WORDS[told.state]} ${why}`);
    tile.parts.blank.textContent = told.status === "running" ? (told.video ? "" : "♪") : told.status;
    if (told.status !== "running") hide(tile);
  }

  function hide(tile) {
    if (tile.url) URL.revokeObjectURL(tile.url);
    tile.url = null;
    tile.parts.picture.hidden = true;
  }

  function levels() {
    for (const tile of tiles.values()) {
      const [momentary, peak] = wall.levels[tile.id] || [null, null];
      const place = (value) => (value === null ? 0 : Math.max(0, Math.min(1, (value + 60) / 60)));
      tile.level.classList.toggle("mute", momentary === null);
      tile.parts.meter.style.clipPath = `inset(0 ${(100 - place(momentary) * 100).toFixed(1)}% 0 0)`;
      tile.parts.peak.style.left = `${(place(peak) * 100).toFixed(1)}%`;
      tile.parts.peak.classList.toggle("over", peak !== null && peak > -1);
    }
  }

  /** Tiles as large as all of them have room for. */
  function fit() {
    const shown = grid.childElementCount;
    if (size !== "fit" || !shown) return void grid.style.removeProperty("--columns");
    const width = grid.clientWidth, height = window.innerHeight - grid.getBoundingClientRect().top - window.scrollY - 14;
    let columns = 1;
    for (;; columns += 1) {
      const wide = (width - GAP * (columns - 1)) / columns;
      const high = wide * 9 / 16 + METER + 4 + (wide < PLAIN ? 0 : TEXT) + GAP;
      if (Math.ceil(shown / columns) * high <= height + GAP || wide < NARROWEST) {
        grid.classList.toggle("plain", wide < PLAIN);
        break;
      }
    }
    grid.style.setProperty("--columns", columns);
    grid.style.setProperty("--widest", `${WIDEST}px`);
    return undefined;
  }
  const sized = new ResizeObserver(() => fit());
  sized.observe(main);
  window.addEventListener("resize", fit);

  const fits = (told) => (!wanted.size || wanted.has(told.state)) &&
    (!text || [told.id, told.channel || "", ...Object.values(told.labels), ...told.why].some((one) => one.toLowerCase().includes(text)));

  function draw() {
    const counts = Object.fromEntries(ORDER.map((state) => [state, 0]));
    for (const told of wall.tiles.values()) counts[told.state] += 1;
    for (const [id, tile] of tiles) {
      if (!wall.tiles.has(id)) { seen.unobserve(tile.node); hide(tile); tile.node.remove(); tiles.delete(id); }
    }
    const shown = [];
    for (const [id, told] of wall.tiles) {
      let tile = tiles.get(id);
      if (!tile) tiles.set(id, (tile = make(id)));
      paint(tile, told);
      if (fits(told)) shown.push(tile); else tile.node.remove();
    }
    const rank = (tile) => ORDER.indexOf(tile.state);
    // Of what is equally bad, the latest first; the rest by name, so that a quiet wall keeps still.
    shown.sort((a, b) => rank(a) - rank(b) || (rank(a) < 3 ? (b.told.since || "").localeCompare(a.told.since || "") : 0) || a.id.localeCompare(b.id, undefined, { numeric: true }));
    // Nothing moves away under a pointer or a key.
    if (performance.now() > held || grid.childElementCount !== shown.length) {
      const before = grid.childElementCount, focused = grid.contains(document.activeElement) ? document.activeElement : null;
      let at = grid.firstElementChild;
      for (const tile of shown) {
        if (tile.node === at) at = at.nextElementSibling;
        else grid.insertBefore(tile.node, at);
      }
      // Whoever is at a tile stays at it, wherever it goes.
      if (focused && document.activeElement !== focused && focused.isConnected) focused.focus({ preventScroll: true });
      if (before !== grid.childElementCount) fit();
    }
    for (const state of ORDER) {
      const [chip, count] = chipOf[state];
      chip.hidden = !counts[state] && !wanted.has(state);
      chip.setAttribute("aria-pressed", String(wanted.has(state)));
      if (count.textContent !== String(counts[state])) count.textContent = counts[state];
    }
    empty.hidden = shown.length > 0;
    fill(empty, wall.tiles.size ? "No stream fits." : ["No stream is watched yet. ", may("operator") ? h("a", { href: "#/new" }, "Add one") : null]);
    levels();
  }

  async function pictures() {
    const now = performance.now();
    const due = [...tiles.values()]
      .filter((tile) => tile.visible && tile.told.status === "running" && tile.told.video && now - tile.at > PICTURE_SECONDS * 1000)
      .sort((a, b) => a.at - b.at).slice(0, PICTURES_AT_A_TIME - loading);
    for (const tile of due) {
      tile.at = now;
      loading += 1;
      load(tile).finally(() => { loading -= 1; setTimeout(() => { if (!over && !document.hidden) pictures(); }, 60); });
    }
  }

  async function load(tile) {
    const shown = await look(`api/v1/wall/${encoded(tile.id)}/picture`);
    if (!shown || over) return; // the next one may come
    const url = URL.createObjectURL(shown);
    tile.parts.picture.src = url;
    tile.parts.picture.hidden = false;
    if (tile.url) URL.revokeObjectURL(tile.url);
    tile.url = url;
  }

  grid.addEventListener("pointermove", () => { held = performance.now() + 3000; });
  grid.addEventListener("keydown", (event) => {
    const list = [...grid.children], at = list.indexOf(document.activeElement);
    if (at < 0) return;
    const columns = list.filter((node) => node.offsetTop === list[0].offsetTop).length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (event.key === "Home") list[0].focus();
    else if (event.key === "End") list[list.length - 1].focus();
    else if (step && list[at + step]) list[at + step].focus();
    else return;
    held = performance.now() + 5000;
    event.preventDefault();
  });

  let over = false;
  const told = () => draw();
  wall.listeners.add(told);
  if (wall.tiles.size) draw();
  const now = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  const tick = () => { bar.querySelector(".clock").textContent = now.format(Date.now()); };
  tick();
  const timer = setInterval(() => { if (document.hidden) return; tick(); pictures(); }, 700);
  return () => {
    over = true;
    clearInterval(timer);
    sized.disconnect();
    window.removeEventListener("resize", fit);
    document.body.classList.remove("kiosk");
    wall.listeners.delete(told);
    seen.disconnect();
    for (const tile of tiles.values()) hide(tile);
  };
}
