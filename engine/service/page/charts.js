// Measures over time: a band from the lowest to the highest value, the threshold, and when an incident was open.

import uPlot from "./vendor/uPlot.esm.js";
import { h } from "./dom.js";
import { number } from "./format.js";

// What lies below each other has the same seconds below each other: all leave this much room left and right (pixels).
const AXIS = 52, RIGHT = 14;

const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
const fine = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const clock = (at, index, all) => (all.some((one) => one % 60) ? fine : time).format(at * 1000);
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

/** Where times are written: round ones of the local clock, as many as there is room for. */
function moments(since, until, width) {
  const most = Math.max(2, Math.floor(width / 84));
  const step = STEPS.find((one) => (until - since) / one <= most) || 86400 * Math.ceil((until - since) / 86400 / most);
  const shift = new Date(since * 1000).getTimezoneOffset() * 60;
  const found = [];
  for (let at = Math.ceil((since - shift) / step) * step + shift; at <= until; at += step) found.push(at);
  return found;
}

/** Strips of time, by the key of the charts whose cursor they show. */
const followers = new Map();
/** Values with none beside them, which no line would show. */
const alone = (values) => [...values.keys()].filter((i) => values[i] !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * One chart; charts with the same key share their cursor and their zoom.
 * @param options title, unit, rule {enter, exit, below} or null, spans [[from, to, severity]], height, key, times (whether
 * they are written below it), onzoom(from, to), ondrag(value): the threshold may be moved.
 */
export class Chart {
  constructor(options) {
    this.options = options;
    this.value = h("output", {});
    this.plotted = h("div", { class: "plot" });
    this.node = h("figure", { class: "chart" },
      h("figcaption", {}, h("b", {}, options.title), options.note ? h("span", {}, options.note) : null, this.value), this.plotted);
    this.rule = options.rule || null;
    this.spans = options.spans || [];
    this.data = [[], [], []];
    this.times = options.times !== false;
    this.of = null;
    // The values shown while the threshold is being moved: a scale that followed it would run from under the pointer.
    this.held = null;
    this.plot = null;
    this.repaint = () => { if (this.plot) this.build(); };
    document.documentElement.addEventListener("theme", this.repaint);
    this.size = new ResizeObserver(() => this.fit());
    this.size.observe(this.plotted);
  }

  fit() {
    const width = Math.floor(this.plotted.clientWidth);
    if (width && this.plot) this.plot.setSize({ width, height: this.height() });
    else if (width && !this.plot) this.build();
  }

  height() { return (this.options.height || 86) + (this.times ? 22 : 0); }

  /** Whether times are written below it: the lowest of several says them for all. */
  tellTimes(shown) {
    if (this.times === shown) return;
    this.times = shown;
    if (this.plot) this.build();
  }

  build() {
    const width = Math.floor(this.plotted.clientWidth);
    if (!width) return;
    if (this.plot) this.plot.destroy();
    this.held = null;
    const line = colour(this.options.colour || "--line"), grid = { stroke: colour("--grid"), width: 1 }, ink = colour("--muted");
    const axis = { stroke: ink, grid, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    this.plot = new uPlot({
      width, height: this.height(), legend: { show: false }, padding: [8, RIGHT, this.times ? 0 : 8, 0],
      cursor: { sync: { key: this.options.key || "time" }, drag: { x: true, y: false, setScale: false }, points: { size: 5 } },
      scales: { x: { time: true, range: (_, low, high) => this.of || [low, high] }, y: { range: (_, low, high) => this.range(low, high) } },
      axes: [
        { ...axis, size: this.times ? 24 : 0, splits: (u, _, low, high) => moments(low, high, width - AXIS - RIGHT), values: (_, ticks) => (this.times ? ticks.map(clock) : ticks.map(() => "")) },
        { ...axis, size: AXIS, space: 26, values: (_, ticks) => ticks.map((v) => number(v)) },
      ],
      series: [{}, { stroke: line, width: 1, spanGaps: false, points: { show: false } }, { stroke: line, width: 1.5, spanGaps: false, points: { show: true, size: 4, fill: line, filter: (u, i) => alone(u.data[i]) } }],
      bands: [{ series: [2, 1], fill: colour("--band") }],
      hooks: {
        drawClear: [(u) => this.below(u)],
        draw: [(u) => this.above(u)],
        setCursor: [(u) => this.tell(u)],
        setSelect: [(u) => this.zoom(u)],
      },
    }, this.data, this.plotted);
    if (this.options.ondrag) this.movable();
  }

  /** The threshold follows the pointer that took it. */
  movable() {
    const over = this.plot.over, near = (event) => this.rule && Number.isFinite(this.rule.enter)
      && Math.abs(event.clientY - over.getBoundingClientRect().top - this.plot.valToPos(this.rule.enter, "y")) < 9;
    over.addEventListener("pointermove", (event) => {
      over.style.cursor = this.held || near(event) ? "ns-resize" : "";
      if (this.held) this.options.ondrag(this.plot.posToVal(event.clientY - over.getBoundingClientRect().top, "y"));
    });
    // Before uPlot begins to select a time.
    over.addEventListener("mousedown", (event) => { if (near(event)) event.stopImmediatePropagation(); }, true);
    over.addEventListener("pointerdown", (event) => {
      if (!near(event)) return;
      const { min, max } = this.plot.scales.y;
      this.held = [min, max];
      over.setPointerCapture(event.pointerId);
      event.preventDefault();
    }, true);
    const letGo = () => {
      if (!this.held) return;
      this.held = null;
      this.plot.setData(this.data);
    };
    over.addEventListener("pointerup", letGo);
    over.addEventListener("pointercancel", letGo);
  }

  range(low, high) {
    if (this.held) return this.held;
    if (low === null || high === null) return [0, 1];
    // Silence has no level: what lies below this is all the same to people.
    if (["LUFS", "dBTP"].includes(this.options.unit)) { low = Math.max(low, -60); high = Math.max(high, low + 1); }
    const enter = this.rule && Number.isFinite(this.rule.enter) ? this.rule.enter : null;
    // The threshold is shown where it is near enough not to flatten what is measured.
    const near = enter !== null && Math.abs(enter) < 1e6 && (this.options.always || Math.abs(enter - (low + high) / 2) < 40 * Math.max(high - low, Math.abs(high) * 0.05, 1e-4));
    const from = near ? Math.min(low, enter) : low, to = near ? Math.max(high, enter) : high;
    const room = (to - from || Math.abs(to) * 0.1 || 1) * 0.12;
    // What is never below nothing has no room there.
    return [from >= 0 ? Math.max(from - room, -room * 0.3) : from - room, to + room];
  }

  below(u) {
    const { left, top, width, height } = u.bbox;
    u.ctx.save();
    u.ctx.beginPath();
    u.ctx.rect(left, top, width, height);
    u.ctx.clip();
    for (const [from, to, severity] of this.spans) {
      const a = u.valToPos(from, "x", true), b = Math.max(a + 2, u.valToPos(to, "x", true));
      u.ctx.globalAlpha = 0.22;
      u.ctx.fillStyle = colour(`--${severity}`);
      u.ctx.fillRect(a, top, b - a, height);
    }
    u.ctx.restore();
  }

  above(u) {
    if (!this.rule || !Number.isFinite(this.rule.enter)) return;
    const y = u.valToPos(this.rule.enter, "y", true);
    const { left, top, width, height } = u.bbox;
    if (y < top || y > top + height) return;
    u.ctx.save();
    u.ctx.strokeStyle = colour("--warning");
    u.ctx.lineWidth = devicePixelRatio;
    u.ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
    u.ctx.beginPath();
    u.ctx.moveTo(left, y);
    u.ctx.lineTo(left + width, y);
    u.ctx.stroke();
    u.ctx.restore();
  }

  tell(u) {
    const at = u.cursor.idx;
    for (const one of followers.get(this.options.key) || []) one(at === null || at === undefined ? null : this.data[0][at]);
    if (at === null || at === undefined) return void (this.value.textContent = this.last());
    const low = this.data[1][at], high = this.data[2][at];
    const unit = this.options.unit ? ` ${this.options.unit}` : "";
    this.value.textContent = low === null || low === undefined ? "–" : low === high ? number(high) + unit : `${number(low)} … ${number(high)}${unit}`;
    return undefined;
  }

  last() {
    const values = this.data[2];
    for (let at = values.length - 1; at >= Math.max(0, values.length - 8); at -= 1) {
      if (values[at] !== null) return number(values[at]) + (this.options.unit ? ` ${this.options.unit}` : "");
    }
    return "–";
  }

  zoom(u) {
    if (u.select.width < 4) return;
    const from = u.posToVal(u.select.left, "x"), to = u.posToVal(u.select.left + u.select.width, "x");
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    if (this.options.onzoom && to - from > 5) this.options.onzoom(from, to);
  }

  /** @param of [since, until] that is shown; all that there is without. */
  set(at, low, high, spans, rule, of) {
    this.data = [at, low, high];
    this.of = of || null;
    if (spans) this.spans = spans;
    if (rule !== undefined) this.rule = rule;
    if (this.plot) this.plot.setData(this.data);
    else this.fit();
    if (!this.plot || this.plot.cursor.idx === null || this.plot.cursor.idx === undefined) this.value.textContent = this.last();
  }

  close() {
    document.documentElement.removeEventListener("theme", this.repaint);
    this.size.disconnect();
    if (this.plot) this.plot.destroy();
  }
}

/**
 * A strip of time: what was covered, and what was open; stretches [[from, to, class, title, href]] in rows. It stands
 * below charts of the same time as if it were one.
 * @param key of charts whose cursor it shows.
 */
export function strips(since, until, rows, key) {
  const share = (at) => Math.max(0, Math.min(100, ((at - since) / (until - since)) * 100));
  const place = (at) => `${share(at).toFixed(3)}%`;
  const cursor = h("i", { class: "cursor", hidden: true });
  const ticks = moments(since, until, Math.max(160, Math.min(window.innerWidth, 1180) - 280));
  const node = h("div", { class: "strips" }, rows.map(([label, stretches]) =>
    h("div", { class: "strip" }, h("span", { title: label }, label), h("div", { class: "lane" }, stretches
      .filter(([from, to]) => to > since && from < until)
      .map(([from, to, kind, title, href]) => h(href ? "a" : "i", {
        class: kind, title, href, "aria-label": href ? title : null,
        style: { left: place(from), width: `calc(${place(to)} - ${place(from)})` },
      }))))),
  h("div", { class: "strip times" }, h("span", {}), h("div", { class: "lane" }, ticks.map((at) =>
    h("time", { style: { left: place(at) } }, clock(at, 0, ticks))), cursor)));
  if (key) {
    followers.set(key, [(at) => {
      cursor.hidden = at === null;
      if (at !== null) cursor.style.left = place(at);
    }]);
  }
  return node;
}

/** Stretches of equal values of a row of steps. */
export function stretches(at, step, values, kind) {
  const found = [];
  values.forEach((value, index) => {
    const said = kind(value, index);
    if (!said) return;
    const last = found[found.length - 1];
    if (last && last[2] === said[0] && Math.abs(last[1] - at[index]) < step * 0.01 + 0.001) last[1] = at[index] + step;
    else found.push([at[index], at[index] + step, said[0], said[1]]);
  });
  return found;
}
