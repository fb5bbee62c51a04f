// The threshold workshop: move a threshold over what was measured, and see what would have been told.

import { all, call, encoded, get, may, post } from "./api.js";
import { Chart, strips } from "./charts.js";
import { button, calm, field, fill, h, select, toast } from "./dom.js";
import { named, unitOf } from "./names.js";
import { lasted } from "./stream.js";
import { lasting, number, spoken, when } from "./format.js";

const SPANS = [["900", "15 minutes"], ["3600", "1 hour"], ["21600", "6 hours"], ["86400", "1 day"]];

export async function show(main, _, query) {
  const [streams, declared] = await Promise.all([all("streams"), get("detectors")]);
  if (!streams.length) return void fill(main, h("h1", {}, "Threshold workshop"), h("p", { class: "empty" }, "There is no stream yet."));
  const stream = select(streams.map((one) => one.id), query.get("stream") || streams[0].id);
  if (!stream.value) stream.value = streams[0].id;
  const detector = select(declared.items.map((one) => one.name), query.get("detector") || "video.freeze");
  if (!detector.value) detector.value = declared.items[0].name;
  const span = select(SPANS, query.get("span") || "3600");
  const controls = h("div", { class: "knobs" }), about = h("p", { class: "hint" }), plot = h("div", { class: "charts" });
  const compared = h("div", {}), found = h("div", { class: "two" }), apply = h("div", { class: "tools" }), shadowed = h("div", {});
  const back = h("button", { type: "button", hidden: true, onclick: () => { fixed = null; run().catch(fail); } }, "Back to the whole span");
  // The setters of the knobs, and which of them is the threshold itself.
  const knobs = new Map();
  let fixed = null, moved = null;
  fill(main, h("h1", {}, "Threshold workshop"),
    h("p", { class: "hint" }, "Tries other thresholds on what was measured of a stream, second by second. Nothing changes until it is applied."),
    h("div", { class: "filters" }, field("Stream", stream), field("Detector", detector), field("Time span", span)), h("div", { class: "bar" }, about, h("span", { class: "spring" }), back), controls, plot, compared, found, apply, shadowed);
  let chart = null, rule = null, present = {}, tried = {}, one = null, judged = null, over = false, asked = 0;

  const fail = (error) => toast(error.message);

  async function begin() {
    one = declared.items.find((item) => item.name === detector.value);
    history.replaceState(null, "", `#/workshop?${new URLSearchParams({ stream: stream.value, detector: detector.value, span: span.value })}`);
    const rules = await get(`streams/${encoded(stream.value)}/rules`);
    if (over) return;
    judged = rules.items.find((item) => item.detector === one.name) || null;
    present = judged ? { ...judged.parameters } : Object.fromEntries(one.parameters.map((p) => [p.name, p.default]));
    tried = { ...present };
    about.textContent = `${one.summary}${judged ? "" : " It is switched off on this stream."}`;
    knobs.clear();
    fixed = null;
    moved = judged ? one.parameters.find((p) => judged.by_rule[p.name] && Math.abs(present[p.name] - judged.enter) <= 1e-9 * Math.max(1, Math.abs(judged.enter))) || null : null;
    fill(controls, one.parameters.map(knob));
    if (chart) { chart.close(); chart.node.remove(); }
    chart = new Chart({ title: named(one.measure), unit: unitOf(one.measure), note: "drag the dashed line to move the threshold, drag beside it to look closer", always: true, height: 220, key: "workshop",
      onzoom: (from, to) => { fixed = [from, to]; run().catch(fail); },
      ondrag: (value) => { if (moved) knobs.get(moved.name)(Math.min(moved.maximum, Math.max(moved.minimum, value))); } });
    fill(plot, chart.node);
    await run();
  }

  /** A parameter: a number, and a slider from the present value down and up. */
  function knob(p) {
    const fixed = judged && !judged.by_rule[p.name];
    const now = present[p.name];
    const low = Math.max(p.minimum, now > 0 ? 0 : now * 3 - 10), high = Math.min(p.maximum, now > 0 ? Math.max(now * 4, now + 0.01) : Math.max(now / 3, now + 10));
    const step = p.unit === "s" && high > 4 ? 0.5 : (high - low) / 400;
    const text = h("input", { type: "number", step: "any", min: p.minimum, max: p.maximum, value: now, disabled: fixed });
    const slide = h("input", { type: "range", min: low, max: high, step, disabled: fixed, "aria-label": `${p.name}, slider` });
    slide.value = now;
    const set = (value) => { if (Number.isFinite(value)) { tried[p.name] = value; later(); } };
    slide.addEventListener("input", () => { text.value = Number(Number(slide.value).toPrecision(4)); set(Number(text.value)); });
    text.addEventListener("input", () => { slide.value = text.value; set(Number(text.value)); });
    knobs.set(p.name, (value) => {
      const short = Number(value.toPrecision(3));
      text.value = short;
      slide.value = short;
      // The line follows at once, what it would have told a moment later.
      if (chart && rule) chart.set(...chart.data, chart.spans, { ...rule, enter: short }, chart.of);
      set(short);
    });
    return h("div", { class: "knob" }, field(`${spoken(p.name)}${p.unit ? ` (${p.unit})` : ""}`, text), slide,
      h("small", {}, fixed ? "changes what is measured; cannot be tried on what was kept" : `${p.help}; now ${number(now, 4)}.`));
  }

  async function run() {
    const mine = (asked += 1);
    const until = fixed ? fixed[1] : Date.now() / 1000, since = fixed ? fixed[0] : until - Number(span.value);
    back.hidden = !fixed;
    const parameters = Object.fromEntries(Object.entries(tried).filter(([name, value]) => value !== present[name]));
    const at = `streams/${encoded(stream.value)}`;
    const [told, measured, kept] = await Promise.all([
      post(`${at}/backtest`, { detector: one.name, parameters, since, until }),
      get(`${at}/measures`, { since, until, measures: one.measure, points: 1200 }),
      all("incidents", { stream: stream.value, detector: one.name, since, until }, 500),
    ]);
    if (over || mine !== asked) return;
    rule = told.rule;
    const { low, high } = measured.measures[one.measure];
    const seconds = (iso) => Date.parse(iso) / 1000;
    chart.set(measured.at, low, high, told.tried.map((i) => [seconds(i.since), seconds(i.until), one.severity]), rule, [since, until]);
    const lane = (items) => items.map((i) => [seconds(i.since), seconds(i.until), i.certain ? `lane-${one.severity}` : "lane-part", `${when(i.since)}, ${lasting(i.seconds)}${i.certain ? "" : ", possible"}`]);
    const was = kept.map((i) => { const [from, to] = lasted(i, judged, until); return [from, to, `lane-${i.severity}`, `told, ${lasting(to - from)}`, `#/incidents/${i.id}`]; });
    fill(compared, strips(since, until, [["was told", was], ["as it is now", lane(told.present)], ["as tried", lane(told.tried)]], "workshop"));
    const sure = (items) => items.filter((i) => i.certain).length;
    const list = (title, items) => h("section", { class: "card" }, h("h2", {}, `${title}: ${sure(items)}`, items.length > sure(items) ? h("small", {}, `, and ${items.length - sure(items)} possible`) : null),
      items.length ? h("table", {}, h("thead", {}, h("tr", {}, ["since", "for", "worst", ""].map((x) => h("th", {}, x)))), h("tbody", {}, items.slice(-50).reverse().map((i) =>
        h("tr", {}, h("td", {}, when(i.since)), h("td", {}, lasting(i.seconds)), h("td", {}, number(i.worst, 4)), h("td", {}, i.certain ? "" : "possible"))))) : h("p", { class: "hint" }, "Nothing."));
    fill(found, list("As it is now", told.present), list("As tried", told.tried));
    const other = Object.keys(parameters).length > 0;
    const target = streams.find((s) => s.id === stream.value);
    const yaml = `detectors:\n  ${one.name}: {${Object.entries(parameters).map(([k, v]) => `${k}: ${v}`).join(", ")}}`;
    fill(apply, h("span", { class: "hint" }, `${told.seconds} seconds of ${stream.value} were looked at; times are true to a second.`),
      other && may("operator") && target.origin === "api" ? button(`Apply to ${stream.value}`, async () => {
        await call("PATCH", at, { detectors: { [one.name]: { ...(typeof target.detectors[one.name] === "object" ? target.detectors[one.name] : {}), ...parameters } } });
        toast("Applied.", "good");
        await begin();
      }, { class: "primary" }) : null,
      other && target.origin !== "api" ? h("label", { class: "field" }, h("span", {}, "For the configuration file, under this stream"), h("textarea", { rows: 2, readonly: true, value: yaml })) : null);
  }

  /** What the profile that is tried on live streams would change. */
  async function beside() {
    const told = await get("shadow");
    if (over || !told.profile) return;
    const rows = (items) => items.slice(0, 50).map((i) => h("tr", {}, h("td", {}, when(i.opened_at)), h("td", {}, i.stream), h("td", {}, i.detector), h("td", {}, i.end === null ? "open" : lasting(i.end - i.start))));
    const list = (title, items) => h("section", { class: "card" }, h("h2", {}, `${title}: ${items.length}`), items.length
      ? h("table", {}, h("thead", {}, h("tr", {}, ["opened", "stream", "detector", "for"].map((x) => h("th", {}, x)))), h("tbody", {}, rows(items))) : h("p", { class: "hint" }, "Nothing."));
    fill(shadowed, h("h2", {}, `Profile ${told.profile}, tried beside the live one`),
      h("p", { class: "hint" }, `On ${told.streams} ${told.streams === 1 ? "stream" : "streams"} since ${when(told.since)}; nobody is told of what it finds.${told.not_tried.length ? ` Cannot be tried beside, as it changes what is measured: ${told.not_tried.join(", ")}.` : ""}`),
      h("table", {}, h("thead", {}, h("tr", {}, ["detector", "only live", "only with the profile", "both"].map((x) => h("th", {}, x)))), h("tbody", {}, told.counts.map((c) =>
        h("tr", {}, h("td", {}, c.detector), h("td", {}, String(c.only_live)), h("td", {}, String(c.only_shadow)), h("td", {}, String(c.both)))))),
      h("div", { class: "two" }, list("No longer told", told.only_live), list("Told besides", told.only_shadow)));
  }

  const later = calm(150, () => run().catch(fail));
  for (const one_of of [stream, detector, span]) one_of.addEventListener("change", () => begin().catch(fail));
  beside().catch(fail);
  await begin();
  return () => { over = true; if (chart) chart.close(); };
}
