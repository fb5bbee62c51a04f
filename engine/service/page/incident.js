// One incident: what was seen and heard, the measures around it, and what people say of it.

import { all, encoded, get, may, post, watch } from "./api.js";
import { Chart } from "./charts.js";
import { button, calm, field, fill, h, toast } from "./dom.js";
import { lasting, number, spoken, when } from "./format.js";
import { named, unitOf } from "./names.js";
import { shape } from "./states.js";
import { lasted, row } from "./stream.js";

const AROUND_SECONDS = 60;

export async function show(main, id) {
  let incident = await get(`incidents/${encoded(id)}`);
  const charts = [];
  let over = false, drawn = "", rule = null, mapped = false;
  const title = h("h1", {}), steps = h("span", { class: "tools steps" }), facts = h("dl", { class: "facts" }), tools = h("div", { class: "tools" }), evidence = h("div", { class: "evidence" });
  const plots = h("div", { class: "charts" }), comments = h("div", { class: "comments" }), near = h("div", { class: "rows" });
  const text = h("textarea", { rows: 2, maxlength: 10000, required: true });
  const say = h("form", { class: "say", onsubmit: async (event) => {
    event.preventDefault();
    try { incident = await post(`incidents/${encoded(id)}/comments`, { text: text.value }); text.value = ""; head(); } catch (error) { toast(error.message); }
  } }, field("Add a comment", text), h("button", {}, "Comment"));
  fill(main, h("div", { class: "bar" }, title, h("span", { class: "spring" }), steps), h("div", { class: "split" }, h("div", {}, facts, tools, h("h2", {}, "Comments"), comments, may("operator") ? say : null), evidence),
    h("h2", {}, "Measures around it"), plots, h("h2", {}, "Around the same time"), near);

  function head() {
    fill(title, shape(incident.severity, 26), ` ${spoken(incident.detector)} `, h("small", {}, "on ", h("a", { href: `#/streams/${encoded(incident.stream)}` }, incident.subject)));
    const [from, to] = lasted(incident, rule, Date.now() / 1000), iso = (at) => new Date(at * 1000).toISOString();
    const waited = Date.parse(incident.opened_at) / 1000 - from;
    const rows = [
      ["State", incident.state === "open" ? "open" : `closed (${spoken(incident.closed_by || "")})`],
      ["Began", when(iso(from))], ["Told", `${when(incident.opened_at)}${waited > 0 ? `, after ${lasting(waited)} of it` : ""}`],
      incident.state === "open" ? null : ["Ended", when(iso(to))],
      ["Lasted", incident.state === "open" ? `${lasting(Date.now() / 1000 - from)} so far` : lasting(incident.duration ?? to - from)],
      ["In the stream", `from ${number(incident.start, 6)} s${incident.end === null ? "" : ` to ${number(incident.end, 6)} s`}`],
      ["Worst value", number(incident.score, 4)],
      incident.cause ? ["Cause", incident.cause] : null,
      incident.reopenings ? ["Came back", `${incident.reopenings} times`] : null,
      incident.streams.length > 1 ? ["Seen on", incident.streams.join(", ")] : null,
      ["Acknowledged", incident.acknowledged_by ? `by ${incident.acknowledged_by}, ${when(incident.acknowledged_at)}` : "no"],
      incident.muted ? ["Muted", `by ${incident.muted_by}`] : null,
      ...Object.entries(incident.measures).map(([name, value]) => [spoken(name), number(value, 4)]),
    ];
    fill(facts, rows.filter(Boolean).map(([k, v]) => h("div", {}, h("dt", {}, k), h("dd", {}, v))));
    fill(tools, may("operator") ? [
      incident.acknowledged_by ? null : button("Acknowledge", async () => { incident = await post(`incidents/${encoded(id)}/acknowledge`); head(); }, { class: "primary" }),
      incident.muted ? button("Unmute", async () => { incident = await post(`incidents/${encoded(id)}/unmute`); head(); }) : button("Mute", async () => { incident = await post(`incidents/${encoded(id)}/mute`); head(); }),
    ] : null);
    fill(comments, incident.comments.length ? incident.comments.map((c) => h("blockquote", {}, h("p", {}, c.text), h("footer", {}, `${c.author}, ${when(c.at)}`))) : h("p", { class: "hint" }, "Nobody has said anything."));
    const kinds = incident.evidence.map((e) => `${e.kind}${e.created_at}`).sort().join();
    if (kinds !== drawn) { drawn = kinds; show_evidence(); }
  }

  function show_evidence() {
    const has = new Set(incident.evidence.map((e) => e.kind));
    const place = (kind) => `api/v1/incidents/${encoded(id)}/${kind}`;
    const parts = [];
    if (has.has("clip")) {
      const cannot = h("p", { class: "hint", hidden: true }, "This browser cannot play the clip.");
      const video = h("video", { controls: true, preload: "metadata", playsinline: true, src: place("clip"), poster: has.has("thumbnail") ? place("thumbnail") : null });
      video.addEventListener("error", () => { cannot.hidden = false; });
      parts.push(h("figure", {}, video, cannot, h("figcaption", {}, "The stream around it, as it came. ", h("a", { href: place("clip"), download: `${id}-clip` }, "Download"))));
    }
    if (has.has("thumbnail") || has.has("overlay")) parts.push(worst(has, place));
    fill(evidence, parts.length ? parts : h("p", { class: "empty" }, incident.state === "open" ? "Evidence comes while it is open and a little after." : "No evidence was kept."));
  }

  /** The picture at its worst; and, where the network looked at it, the same picture under its map. */
  function worst(has, place) {
    const picture = h("img", {}), caption = h("figcaption", {});
    const both = has.has("thumbnail") && has.has("overlay");
    const choice = both ? h("div", { class: "segments", role: "group", "aria-label": "What is shown" }, ["Picture", "Map of damage"].map((text, index) =>
      h("button", { type: "button", onclick: () => { mapped = index === 1; shown(); } }, text))) : null;
    function shown() {
      const map = has.has("overlay") && (mapped || !both);
      picture.src = place(map ? "overlay" : "thumbnail");
      picture.alt = map ? "A map of damage over the picture" : "The worst moment";
      caption.textContent = map ? "Where the network sees damage: the stronger the colour, the surer; framed, where it counts as damage" : "The worst moment";
      if (choice) [...choice.children].forEach((one, index) => one.setAttribute("aria-pressed", String((index === 1) === map)));
    }
    shown();
    return h("figure", {}, choice, picture, caption);
  }

  async function measures() {
    const [rules, declared] = await Promise.all([
      get(`streams/${encoded(incident.stream)}/rules`).catch(() => ({ items: [] })), get("detectors")]);
    rule = rules.items.find((one) => one.detector === incident.detector) || null;
    head();
    const measure = (declared.items.find((one) => one.name === incident.detector) || {}).measure;
    if (incident.evidence.some((e) => e.kind === "series")) {
      const series = await fetch(`api/v1/incidents/${encoded(id)}/series`).then((a) => (a.ok ? a.json() : null)).catch(() => null);
      if (series && series.times && series.values && series.times.length) {
        const zero = lasted(incident, rule, Date.now() / 1000)[0] - incident.start;
        const at = series.times.map((t) => t + zero);
        const chart = new Chart({ title: named(measure || incident.detector), note: "every value", unit: unitOf(measure || ""), rule, always: true, key: "incident", height: 150 });
        charts.push(chart);
        plots.append(chart.node);
        chart.set(at, series.values, series.values, [[zero + incident.start, incident.end === null ? at[at.length - 1] : zero + incident.end, incident.severity]]);
      }
    }
    const [from, to] = lasted(incident, rule, Date.now() / 1000);
    const since = from - AROUND_SECONDS, until = Math.min(Date.now() / 1000, to + AROUND_SECONDS, from + 6 * 3600);
    const names = [...new Set([measure, "momentary", "true_peak_db", "luma_mean", "mafd"].filter(Boolean))];
    const told = await get(`streams/${encoded(incident.stream)}/measures`, { since, until, measures: names.join(",") }).catch(() => null);
    if (!told || over) return;
    const any = names.filter((name) => told.measures[name].high.some((v) => v !== null));
    for (const name of any) {
      const chart = new Chart({ title: named(name), unit: unitOf(name), rule: name === measure ? rule : null, key: "incident", times: name === any[any.length - 1] });
      charts.push(chart);
      plots.append(chart.node);
      chart.set(told.at, told.measures[name].low, told.measures[name].high, [[from, Math.min(to, until), incident.severity]], undefined, [since, until]);
    }
    if (!charts.length) fill(plots, h("p", { class: "empty" }, "The measures of that time are not kept any more."));
  }

  async function neighbours() {
    const opened = Date.parse(incident.opened_at) / 1000;
    const found = await all("incidents", { since: opened - 600, until: opened + 600 }, 500);
    const others = found.filter((one) => one.id !== incident.id)
      .sort((a, b) => Math.abs(Date.parse(a.opened_at) / 1000 - opened) - Math.abs(Date.parse(b.opened_at) / 1000 - opened)).slice(0, 12);
    const mine = found.filter((one) => one.subject === incident.subject && one.id !== incident.id);
    if (over) return;
    step(mine.filter((one) => one.opened_at < incident.opened_at).sort((a, b) => b.opened_at.localeCompare(a.opened_at))[0], "← Earlier");
    step(mine.filter((one) => one.opened_at > incident.opened_at).sort((a, b) => a.opened_at.localeCompare(b.opened_at))[0], "Later →");
    fill(near, others.length ? others.map((one) => row(one)) : h("p", { class: "empty" }, "Nothing else was wrong within ten minutes."));
  }

  /** To the next one of the same stream. */
  function step(to, text) {
    if (to) steps.append(h("a", { class: "button", href: `#/incidents/${to.id}`, title: `${spoken(to.detector)}, ${when(to.opened_at)}` }, text));
  }

  head();
  await Promise.all([measures(), neighbours()]);
  const again = calm(300, async () => { incident = await get(`incidents/${encoded(id)}`); if (!over) head(); });
  const end = watch(`events?types=incident&stream=${encoded(incident.stream)}`, { incident: (told) => { if (told.incident.id === id) again(); }, lost: again });
  // Evidence comes without an event of its own.
  const timer = setInterval(() => { if (!document.hidden && !incident.evidence.some((e) => e.kind === "clip")) again(); }, 5000);
  return () => { over = true; end(); clearInterval(timer); for (const chart of charts) chart.close(); };
}
