// One stream: how it is, what is measured of it, what was wrong, and what may be done.

import { all, asQuery, call, encoded, get, look, may, post, watch } from "./api.js";
import { Chart, stretches, strips } from "./charts.js";
import { button, calm, fill, h, select, toast } from "./dom.js";
import { ago, lasting, number, percent, spoken, when } from "./format.js";
import { shape, WORDS } from "./states.js";
import { wall } from "./app.js";

const SPANS = [["300", "5 minutes"], ["900", "15 minutes"], ["3600", "1 hour"], ["21600", "6 hours"]];
const FIRST = ["momentary", "true_peak_db", "luma_mean", "mafd", "black_ratio", "corruption", "block_edges", "blur"];
const NAMES = { momentary: "Loudness, momentary", luma_mean: "Mean luma", true_peak_db: "True peak", short_term: "Loudness, short-term" };
const UNITS = { momentary: "LUFS", short_term: "LUFS", true_peak_db: "dBTP", hum: "dB", hiss: "dB", imbalance: "dB", level_jump: "LU" };

export async function show(main, id) {
  const [first, rules] = await Promise.all([get(`streams/${encoded(id)}`), get(`streams/${encoded(id)}/rules`)]);
  let stream = first, span = Number(localStorage.getItem("span")) || 900, fixed = null, incidents = [], over = false;
  const chosen = new Set(JSON.parse(localStorage.getItem("measures") || "null") || FIRST);
  const byMeasure = new Map();
  for (const rule of rules.items) if (!byMeasure.has(rule.measure)) byMeasure.set(rule.measure, rule);
  const measures = [...new Set(["momentary", "luma_mean", ...byMeasure.keys()])];
  const charts = new Map();

  const title = h("h1", {}), facts = h("dl", { class: "facts" }), tools = h("div", { class: "tools" });
  const picture = h("img", { class: "now", alt: `What ${id} shows now`, hidden: true }), blank = h("div", { class: "now blank" }, "no picture");
  const meters = h("div", { class: "meters" });
  const lanes = h("div", {}), plots = h("div", { class: "charts" }), list = h("div", { class: "rows" });
  const pick = h("details", { class: "pick" }, h("summary", {}, "Measures"), h("div", { class: "checks" }, measures.map((name) =>
    h("label", {}, h("input", { type: "checkbox", checked: chosen.has(name), onchange: (event) => {
      if (event.target.checked) chosen.add(name); else chosen.delete(name);
      localStorage.setItem("measures", JSON.stringify([...chosen]));
      load();
    } }), named(name)))));
  const spans = select(SPANS, String(span), { "aria-label": "Time span", onchange: () => {
    span = Number(spans.value);
    fixed = null;
    localStorage.setItem("span", span);
    load();
  } });
  const live = h("button", { type: "button", hidden: true, onclick: () => { fixed = null; load(); } }, "Back to now");
  fill(main, h("div", { class: "streamhead" },
    h("div", { class: "screenbox" }, picture, blank, meters),
    h("div", { class: "about" }, title, facts, tools)),
  h("div", { class: "bar" }, h("h2", {}, "Over time"), h("span", { class: "spring" }), live, spans, pick),
  lanes, plots, h("div", { class: "bar" }, h("h2", {}, "Incidents"), h("span", { class: "spring" }), h("a", { href: `#/incidents?stream=${encoded(id)}` }, "all of this stream")), list);

  function named(name) {
    const rule = byMeasure.get(name);
    return NAMES[name] || (rule ? spoken(rule.detector) : spoken(name));
  }

  function lips() {
    const sync = stream.status.sync;
    if (!sync) return null;
    if (sync.offset_ms === null) return "unknown";
    const side = sync.offset_ms > 0 ? "late" : "early";
    const said = sync.verdict === "in_sync" ? "in sync" : "out of sync";
    return `${said}: sound ${Math.round(Math.abs(sync.offset_ms))} ms ${side} (${sync.way === "pattern" ? "by its test pattern" : "by its reference"}, confidence ${number(sync.confidence, 2)})`;
  }

  function against() {
    const sync = stream.status.sync, link = h("a", { href: `#/streams/${encoded(stream.reference)}` }, stream.reference);
    if (!sync || sync.same_programme === null) return h("span", {}, link, ": nothing known yet");
    if (!sync.same_programme) return h("span", {}, link, ": another programme");
    if (sync.latency_ms === null) return h("span", {}, link, ": the same programme");
    const apart = Math.abs(sync.latency_ms), length = apart < 1000 ? `${Math.round(apart)} ms` : lasting(apart / 1000);
    return h("span", {}, link, `: the same programme, ${length} ${sync.latency_ms < 0 ? "earlier" : "later"}`);
  }

  function head() {
    const { status } = stream, tile = wall.tiles.get(id);
    const state = tile ? tile.state : stream.paused ? "paused" : stream.muted ? "maintenance" : status.state === "running" ? "ok" : "unknown";
    fill(title, shape(state, 26), ` ${id} `, h("small", {}, WORDS[state], tile && tile.why.length ? `: ${tile.why.map(spoken).join(", ")}` : ""));
    const rows = [
      ["State", `${status.state}${status.cause ? ` (${spoken(status.cause)})` : ""}, for ${ago(status.since)}`],
      status.detail ? ["Why", status.detail] : null,
      ["Address", stream.url],
      stream.channel ? ["Channel", stream.channel] : null,
      ["Pictures", status.video || "none"], ["Sound", status.audio || "none"],
      ["Decoder", status.decoder ? `${status.decoder}${status.decoder_reason ? `: ${status.decoder_reason}` : ""}` : "–"],
      ["Engine", status.engine ? `${status.engine} on ${status.device}` : "–"],
      ["Judged", `${percent(status.sampling)} of the pictures, ${number(status.lag_seconds, 2)} s behind`],
      lips() ? ["Lip sync", lips()] : null,
      stream.reference ? ["Reference", against()] : null,
      ["Profile", stream.profile || "defaults"],
      ["Restarts", String(status.restarts)],
      Object.keys(stream.labels).length ? ["Labels", Object.entries(stream.labels).map(([k, v]) => `${k}=${v}`).join(", ")] : null,
      stream.maintenance.length ? ["Maintenance", stream.maintenance.map(windowText).join("; ")] : null,
    ];
    fill(facts, rows.filter(Boolean).map(([k, v]) => h("div", {}, h("dt", {}, k), h("dd", {}, v))));
    if (!may("operator")) return;
    const now = stream.maintenance.filter((w) => w.since && w.id && new Date(w.until) > Date.now());
    fill(tools,
      stream.paused ? button("Resume", async () => change(await post(`streams/${encoded(id)}/resume`))) : button("Pause", async () => change(await post(`streams/${encoded(id)}/pause`))),
      select([["", "Maintenance…"], ["900", "for 15 minutes"], ["3600", "for 1 hour"], ["14400", "for 4 hours"], ["86400", "for 1 day"]], "", { "aria-label": "Maintenance", onchange: async (event) => {
        const seconds = Number(event.target.value);
        event.target.value = "";
        if (!seconds) return;
        try { await post(`streams/${encoded(id)}/mute`, { seconds }); toast("Nobody is told until then.", "good"); refresh(); } catch (error) { toast(error.message); }
      } }),
      now.length ? button("End maintenance", async () => {
        for (const w of now) await call("DELETE", `streams/${encoded(id)}/maintenance/${encoded(w.id)}`);
        refresh();
      }) : null,
      h("a", { class: "button", href: `#/workshop?stream=${encoded(id)}` }, "Try thresholds"),
      stream.origin === "api" ? h("a", { class: "button", href: `#/streams/${encoded(id)}/edit` }, "Change") : h("span", { class: "hint" }, "Belongs to the configuration file"),
      stream.origin === "api" ? button("Delete", async () => {
        if (!confirm(`Stop watching ${id}? Its incidents stay.`)) return;
        await call("DELETE", `streams/${encoded(id)}`);
        location.hash = "#/";
      }, { class: "danger" }) : null);
  }

  const windowText = (w) => (w.since ? `${when(w.since)} to ${when(w.until)}` : `${(w.days || []).join(" ")} ${w.start}–${w.end}`) + (w.reason ? ` (${w.reason})` : "");
  const change = (told) => { stream = told; head(); };
  async function refresh() { change(await get(`streams/${encoded(id)}`)); }

  async function load() {
    if (over) return;
    const until = fixed ? fixed[1] : Date.now() / 1000, since = fixed ? fixed[0] : until - span;
    live.hidden = !fixed;
    const names = measures.filter((name) => chosen.has(name));
    const [told, found] = await Promise.all([
      get(`streams/${encoded(id)}/measures`, { since, until, measures: names.join(",") || "momentary", points: 600 }),
      all("incidents", { stream: id, since, until }, 500),
    ]);
    if (over) return;
    incidents = found;
    const open = (i) => [Date.parse(i.opened_at) / 1000, i.closed_at ? Date.parse(i.closed_at) / 1000 : until, i.severity];
    for (const [name, chart] of charts) if (!names.includes(name)) { chart.close(); chart.node.remove(); charts.delete(name); }
    for (const name of names) {
      const rule = byMeasure.get(name) || null;
      let chart = charts.get(name);
      if (!chart) {
        const limit = rule ? `bad ${rule.below ? "at or below" : "at or above"} ${number(rule.enter)}${rule.set_seconds ? ` for ${lasting(rule.set_seconds)}` : ""}` : "";
        chart = new Chart({ title: named(name), note: limit, rule, key: id, unit: UNITS[name] || (name.endsWith("_seconds") ? "s" : ""), onzoom: (from, to) => { fixed = [from, to]; load().catch((e) => toast(e.message)); } });
        charts.set(name, chart);
        plots.append(chart.node);
      }
      const { low, high } = told.measures[name];
      chart.set(told.at, low, high, rule ? found.filter((i) => i.detector === rule.detector).map(open) : []);
    }
    const kinds = [...new Set(found.map((i) => i.detector))];
    fill(lanes, strips(since, until, [
      ["coverage", stretches(told.at, told.step, told.pictures, (share, i) => {
        if (share === null && !told.sound[i]) return told.open[i] === null ? null : ["lane-none", "nothing was seen"];
        if (share !== null && share < 0.9) return ["lane-part", `${percent(share)} of the pictures were judged`];
        return ["lane-full", "judged in full"];
      })],
      told.network.some(Boolean) ? ["network", stretches(told.at, told.step, told.network, (looks) => (looks ? ["lane-full", `the network saw ${number(looks, 2)} pictures a second`] : null))] : null,
      told.decode_errors.some(Boolean) ? ["damage", stretches(told.at, told.step, told.decode_errors, (n) => (n ? ["lane-damage", `${n} damaged`] : null))] : null,
      ...kinds.map((kind) => [spoken(kind), found.filter((i) => i.detector === kind).map((i) => {
        const [from, to] = open(i);
        return [from, to, `lane-${i.severity}`, `${spoken(kind)}, ${i.severity}, ${lasting(to - from)}`, `#/incidents/${i.id}`];
      })]),
    ].filter(Boolean)));
    fill(list, found.length ? found.slice(0, 20).map(row) : h("p", { class: "empty" }, "None in this time."));
  }

  async function show_picture() {
    if (document.hidden || over) return;
    const answer = await look(`api/v1/wall/${encoded(id)}/picture`);
    if (over || !answer) return;
    const there = answer.status === 200;
    if (there) {
      const url = URL.createObjectURL(await answer.blob());
      const old = picture.src;
      picture.src = url;
      if (old) URL.revokeObjectURL(old);
    }
    picture.hidden = !there;
    blank.hidden = there;
  }

  function meter(name, value, low, high, unit, over_at) {
    const share = value === null || value === undefined ? 0 : Math.max(0, Math.min(1, (value - low) / (high - low)));
    return h("div", { class: "bigmeter" }, h("span", {}, name), h("div", { class: value > over_at ? "track over" : "track" }, h("i", { style: { transform: `scaleX(${share})` } })),
      h("b", {}, value === null || value === undefined ? "–" : `${value.toFixed(1)} ${unit}`));
  }

  const again = calm(250, () => load().catch((error) => toast(error.message)));
  let loaded = 0;
  const end = watch(`events?${asQuery({ types: "incident,status,second", stream: id })}`, {
    second: (told) => {
      if (JSON.stringify(told.sync) !== JSON.stringify(stream.status.sync)) change({ ...stream, status: { ...stream.status, sync: told.sync } });
      const level = (name) => (told.levels[name] ? told.levels[name][1] : null);
      fill(meters, meter("momentary", level("momentary"), -60, 0, "LUFS", -9), meter("short-term", level("short_term"), -60, 0, "LUFS", -9), meter("true peak", level("true_peak_db"), -60, 3, "dBTP", -1));
      if (!fixed && performance.now() - loaded > Math.max(2000, span)) { loaded = performance.now(); again(); }
    },
    status: (status) => { stream = { ...stream, status }; head(); },
    incident: () => again(),
    lost: () => { refresh(); again(); },
  });
  const told = () => head();
  wall.listeners.add(told);
  head();
  await load();
  show_picture();
  const timer = setInterval(show_picture, 2500);
  return () => {
    over = true;
    end();
    clearInterval(timer);
    wall.listeners.delete(told);
    for (const chart of charts.values()) chart.close();
    if (picture.src) URL.revokeObjectURL(picture.src);
  };
}

/** An incident as one line of a list. */
export function row(incident) {
  const length = incident.closed_at ? (Date.parse(incident.closed_at) - Date.parse(incident.opened_at)) / 1000 : null;
  return h("a", { class: "row", href: `#/incidents/${incident.id}` }, shape(incident.severity, 20),
    h("span", { class: "main" }, h("b", {}, spoken(incident.detector)), h("span", {}, incident.subject)),
    incident.cause ? h("span", { class: "cause" }, incident.cause) : null,
    h("span", { class: "marks" }, incident.muted ? "muted " : "", incident.acknowledged_by ? `taken by ${incident.acknowledged_by}` : ""),
    h("span", { class: "length" }, incident.state === "open" ? h("strong", { class: "open" }, `open, ${ago(incident.opened_at)}`) : lasting(incident.duration ?? length)),
    h("time", { datetime: incident.opened_at }, when(incident.opened_at)));
}
