// One incident: what was seen and heard, the measures around it, and what people say of it.

import { all, encoded, get, may, post, watch } from "./api.js";
import { Chart } from "./charts.js";
import { button, calm, field, fill, h, toast } from "./dom.js";
import { lasting, number, spoken, when } from "./format.js";
import { shape } from "./states.js";
import { row } from "./stream.js";

const AROUND_SECONDS = 60;

export async function show(main, id) {
  let incident = await get(`incidents/${encoded(id)}`);
  const charts = [];
  let over = false, drawn = "";
  const title = h("h1", {}), facts = h("dl", { class: "facts" }), tools = h("div", { class: "tools" }), evidence = h("div", { class: "evidence" });
  const plots = h("div", { class: "charts" }), comments = h("div", { class: "comments" }), near = h("div", { class: "rows" });
  const text = h("textarea", { rows: 2, maxlength: 10000, required: true });
  const say = h("form", { class: "say", onsubmit: async (event) => {
    event.preventDefault();
    try { incident = await post(`incidents/${encoded(id)}/comments`, { text: text.value }); text.value = ""; head(); } catch (error) { toast(error.message); }
  } }, field("Comment", text), h("button", {}, "Say it"));
  fill(main, title, h("div", { class: "split" }, h("div", {}, facts, tools, h("h2", {}, "Comments"), comments, may("operator") ? say : null), evidence),
    h("h2", {}, "Measures around it"), plots, h("h2", {}, "Around the same time"), near);

  function head() {
    fill(title, shape(incident.severity, 26), ` ${spoken(incident.detector)} `, h("small", {}, "on ", h("a", { href: `#/streams/${encoded(incident.stream)}` }, incident.subject)));
    const rows = [
      ["State", incident.state === "open" ? "open" : `closed (${spoken(incident.closed_by || "")})`],
      ["Opened", when(incident.opened_at)], ["Closed", when(incident.closed_at)],
      ["Lasted", incident.state === "open" ? "still open" : lasting(incident.duration)],
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
    if (has.has("thumbnail")) parts.push(h("figure", {}, h("img", { src: place("thumbnail"), alt: "The worst moment" }), h("figcaption", {}, "The worst moment")));
    if (has.has("overlay")) parts.push(h("figure", {}, h("img", { src: place("overlay"), alt: "A map of damage over the picture" }), h("figcaption", {}, "Where the network sees damage: the stronger the colour, the surer; framed, where it counts as damage")));
    fill(evidence, parts.length ? parts : h("p", { class: "empty" }, incident.state === "open" ? "Evidence comes while it is open and a little after." : "No evidence was kept."));
  }

  async function measures() {
    const [rules, declared] = await Promise.all([
      get(`streams/${encoded(incident.stream)}/rules`).catch(() => ({ items: [] })), get("detectors")]);
    const rule = rules.items.find((one) => one.detector === incident.detector) || null;
    const measure = (declared.items.find((one) => one.name === incident.detector) || {}).measure;
    if (incident.evidence.some((e) => e.kind === "series")) {
      const series = await fetch(`api/v1/incidents/${encoded(id)}/series`).then((a) => (a.ok ? a.json() : null)).catch(() => null);
      if (series && series.times && series.values && series.times.length) {
        const zero = Date.parse(incident.opened_at) / 1000 - incident.start;
        const at = series.times.map((t) => t + zero);
        const chart = new Chart({ title: `${spoken(measure || incident.detector)}, every value`, rule, always: true, key: "incident", height: 170 });
        charts.push(chart);
        plots.append(chart.node);
        chart.set(at, series.values, series.values, [[zero + incident.start, incident.end === null ? at[at.length - 1] : zero + incident.end, incident.severity]]);
      }
    }
    const opened = Date.parse(incident.opened_at) / 1000;
    const since = opened - AROUND_SECONDS, until = Math.min(Date.now() / 1000, (incident.closed_at ? Date.parse(incident.closed_at) / 1000 : Date.now() / 1000) + AROUND_SECONDS, opened + 6 * 3600);
    const names = [...new Set([measure, "momentary", "true_peak_db", "luma_mean", "mafd"].filter(Boolean))];
    const told = await get(`streams/${encoded(incident.stream)}/measures`, { since, until, measures: names.join(",") }).catch(() => null);
    if (!told || over) return;
    const any = names.filter((name) => told.measures[name].high.some((v) => v !== null));
    for (const name of any) {
      const chart = new Chart({ title: spoken(name), rule: name === measure ? rule : null, key: "incident", height: 104 });
      charts.push(chart);
      plots.append(chart.node);
      chart.set(told.at, told.measures[name].low, told.measures[name].high, [[opened, incident.closed_at ? Date.parse(incident.closed_at) / 1000 : until, incident.severity]]);
    }
    if (!charts.length) fill(plots, h("p", { class: "empty" }, "The measures of that time are not kept any more."));
  }

  async function neighbours() {
    const opened = Date.parse(incident.opened_at) / 1000;
    const found = await all("incidents", { since: opened - 600, until: opened + 600 }, 500);
    const others = found.filter((one) => one.id !== incident.id)
      .sort((a, b) => Math.abs(Date.parse(a.opened_at) / 1000 - opened) - Math.abs(Date.parse(b.opened_at) / 1000 - opened)).slice(0, 12);
    if (!over) fill(near, others.length ? others.map(row) : h("p", { class: "empty" }, "Nothing else was wrong within ten minutes."));
  }

  head();
  await Promise.all([measures(), neighbours()]);
  const again = calm(300, async () => { incident = await get(`incidents/${encoded(id)}`); if (!over) head(); });
  const end = watch(`events?types=incident&stream=${encoded(incident.stream)}`, { incident: (told) => { if (told.incident.id === id) again(); }, lost: again });
  // Evidence comes without an event of its own.
  const timer = setInterval(() => { if (!document.hidden && !incident.evidence.some((e) => e.kind === "clip")) again(); }, 5000);
  return () => { over = true; end(); clearInterval(timer); for (const chart of charts) chart.close(); };
}
