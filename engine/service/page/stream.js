// One stream: how it is, what is measured of it, what was wrong, and what may be done.

import { all, asQuery, call, encoded, get, look, may, post, watch } from "./api.js";
import { Chart, stretches, strips } from "./charts.js";
import { button, calm, fill, h, keyed, select, toast } from "./dom.js";
import { ago, lasting, number, percent, spoken, when } from "./format.js";
import { named, unitOf } from "./names.js";
import { shape, WORDS } from "./states.js";
import { wall } from "./app.js";

const SPANS = [["300", "5 minutes"], ["900", "15 minutes"], ["3600", "1 hour"], ["21600", "6 hours"]];
const SYNC_MS = 250;
const FIRST = ["momentary", "true_peak_db", "luma_mean", "mafd", "black_ratio", "blocks", "blur", "corruption"];

export async function show(main, id) {
  const [first, ruled, profiles] = await Promise.all([get(`streams/${encoded(id)}`), get(`streams/${encoded(id)}/rules`), get("profiles").then((told) => told.items)]);
  let stream = first, span = Number(localStorage.getItem("span")) || 900, fixed = null, incidents = [], over = false;
  const chosen = new Set(JSON.parse(localStorage.getItem("measures") || "null") || FIRST);
  const byMeasure = new Map(), byDetector = new Map();
  let measures = [];
  const charts = new Map();

  function take(rules) {
    byMeasure.clear();
    byDetector.clear();
    for (const rule of rules.items) {
      if (!byMeasure.has(rule.measure)) byMeasure.set(rule.measure, rule);
      byDetector.set(rule.detector, rule);
    }
    measures = [...new Set(["momentary", "luma_mean", ...byMeasure.keys()])];
  }
  take(ruled);

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
  const wrong = h("div", { class: "wrong" });
  fill(main, h("div", { class: "streamhead" },
    h("div", { class: "screenbox" }, picture, blank, meters),
    h("div", { class: "about" }, title, tools, wrong, facts)),
  h("div", { class: "bar" }, h("h2", {}, "Over time"), h("span", { class: "spring" }), live, spans, pick),
  lanes, plots, h("div", { class: "bar" }, h("h2", {}, "Incidents"), h("span", { class: "spring" }), h("a", { href: `#/incidents?stream=${encoded(id)}` }, "all of this stream")), list);

  function lips() {
    const sync = stream.status.sync;
    if (!sync) return null;
    if (sync.offset_ms === null) return "unknown";
    const side = sync.offset_ms > 0 ? "late" : "early";
    const good = sync.verdict === "in_sync";
    const place = Math.max(-1, Math.min(1, sync.offset_ms / SYNC_MS));
    return [
      `${good ? "in sync" : "out of sync"}: sound ${Math.round(Math.abs(sync.offset_ms))} ms ${side} (${sync.way === "pattern" ? "by its test pattern" : "by its reference"}, confidence ${number(sync.confidence, 2)}${tolerated(sync)})`,
      h("span", { class: good ? "offset" : "offset off", title: `from ${SYNC_MS} ms early to ${SYNC_MS} ms late`, "aria-hidden": "true" }, h("i", { style: { left: `${50 + 50 * place}%` } })),
    ];
  }

  function tolerated(sync) {
    if (!sync.tolerance_ms) return "";
    const limit = Math.round(Math.abs(sync.tolerance_ms[sync.offset_ms > 0 ? 1 : 0]));
    const heard = { speech: " where somebody speaks", other: " where nobody speaks" }[sync.content] ?? "";
    return `; ${limit} ms are tolerated${heard}`;
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
    const why = tile && tile.why.length ? `: ${tile.why.map(spoken).join(", ")}` : "";
    keyed(title, [state, why], () => [shape(state, 26), ` ${id} `, h("small", {}, WORDS[state], why)]);
    const told = [
      ["State", `${status.state}${status.cause ? ` (${spoken(status.cause)})` : ""}, for ${ago(status.since)}`],
      status.detail ? ["Why", status.detail] : null,
      ["Address", stream.url],
      stream.channel ? ["Channel", stream.channel] : null,
      ["Pictures", status.video || "none"], ["Sound", status.audio || "none"],
      ["Decoder", status.decoder ? `${status.decoder}${status.decoder_reason ? `: ${status.decoder_reason}` : ""}` : "–"],
      ["Engine", status.engine ? `${status.engine}${status.device ? ` on ${status.device}` : ""}` : "–"],
      ["Judged", `${percent(status.sampling)} of the pictures, ${number(status.lag_seconds, 2)} s behind`],
      lips() ? ["Lip sync", lips()] : null,
      stream.reference ? ["Reference", against()] : null,
      ["Profile", stream.profile || "defaults"],
      ["Restarts", String(status.restarts)],
      Object.keys(stream.labels).length ? ["Labels", Object.entries(stream.labels).map(([k, v]) => `${k}=${v}`).join(", ")] : null,
      stream.maintenance.length ? ["Maintenance", stream.maintenance.map(windowText).join("; ")] : null,
    ].filter(Boolean);
    keyed(facts, told.map(([, v]) => [v].flat().map((one) => one.outerHTML || one)), () => told.map(([k, v]) => h("div", {}, h("dt", {}, k), h("dd", {}, v))));
    if (may("operator")) controls();
  }

  /** What may be done. It stays as it is while nothing of it changes: somebody may be at a key or in a list of it. */
  function controls() {
    const now = stream.maintenance.filter((w) => w.since && w.id && new Date(w.until) > Date.now());
    const ours = stream.origin === "api";
    keyed(tools, [stream.paused, now.map((w) => w.id), stream.profile, ours], () => [
      stream.paused ? button("Resume", async () => change(await post(`streams/${encoded(id)}/resume`)), { class: "primary" }) : button("Pause", async () => change(await post(`streams/${encoded(id)}/pause`))),
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
      ours ? select([["", "Profile: defaults"], ...profiles.map((one) => [one, `Profile: ${one}`])], stream.profile || "", { "aria-label": "Profile", onchange: async (event) => {
        try {
          change(await call("PATCH", `streams/${encoded(id)}`, { profile: event.target.value || null }));
          toast("Judged by that profile from now on.", "good");
          await learn();
        } catch (error) { event.target.value = stream.profile || ""; toast(error.message); }
      } }) : null,
      h("a", { class: "button", href: `#/workshop?stream=${encoded(id)}` }, "Try thresholds"),
      ours ? h("a", { class: "button", href: `#/streams/${encoded(id)}/edit` }, "Edit") : null,
      ours ? button("Delete", async () => {
        if (!confirm(`Stop watching ${id}? Its incidents stay.`)) return;
        await call("DELETE", `streams/${encoded(id)}`);
        location.hash = "#/";
      }, { class: "danger" }) : h("span", { class: "hint" }, "From the configuration file: profile and address are changed there."),
    ]);
  }

  /** What is wrong now, to be taken on. */
  function alarms() {
    const open = incidents.filter((one) => one.state === "open");
    keyed(wrong, open.map((one) => [one.id, one.acknowledged_by]), () => open.map((one) => h("div", { class: `alert is-${one.severity}` },
      shape(one.severity, 18), h("a", { href: `#/incidents/${one.id}` }, spoken(one.detector)), h("span", { class: "hint" }, `since ${when(one.opened_at)}`), h("span", { class: "spring" }),
      one.acknowledged_by ? h("span", { class: "hint" }, `taken by ${one.acknowledged_by}`)
        : may("operator") ? button("Acknowledge", async () => { await post(`incidents/${encoded(one.id)}/acknowledge`); await load(); }) : null)));
  }

  /** By which rules it is judged now. */
  async function learn() {
    take(await get(`streams/${encoded(id)}/rules`));
    for (const chart of charts.values()) { chart.close(); chart.node.remove(); }
    charts.clear();
    await load();
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
    const open = (i) => [...lasted(i, byDetector.get(i.detector), until), i.severity];
    alarms();
    for (const [name, chart] of charts) if (!names.includes(name)) { chart.close(); chart.node.remove(); charts.delete(name); }
    for (const name of names) {
      const rule = byMeasure.get(name) || null;
      let chart = charts.get(name);
      if (!chart) {
        const limit = rule ? `${spoken(rule.detector)}: bad ${rule.below ? "at or below" : "at or above"} ${number(rule.enter)}${rule.set_seconds ? ` for ${lasting(rule.set_seconds)}` : ""}` : "";
        chart = new Chart({ title: named(name), note: limit, rule, key: id, unit: unitOf(name), onzoom: (from, to) => { fixed = [from, to]; load().catch((e) => toast(e.message)); } });
        charts.set(name, chart);
      }
      const { low, high } = told.measures[name];
      chart.set(told.at, low, high, rule ? found.filter((i) => i.detector === rule.detector).map(open) : [], rule, [since, until]);
      chart.tellTimes(name === names[names.length - 1]);
      plots.append(chart.node);
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
    ].filter(Boolean), id));
    if (found.length) rows(list, found.slice(0, 12), false);
    else fill(list, h("p", { class: "empty" }, "None in this time."));
  }

  async function show_picture() {
    if (document.hidden || over) return;
    const shown = await look(`api/v1/wall/${encoded(id)}/picture`);
    if (over || shown === undefined) return;
    const there = shown !== null;
    if (there) {
      const url = URL.createObjectURL(shown);
      const old = picture.src;
      picture.src = url;
      if (old) URL.revokeObjectURL(old);
    }
    picture.hidden = !there;
    blank.hidden = there;
  }

  /** A level with its scale, and where it is too much. */
  function meter(name, value, low, high, unit, limit, marks) {
    const share = (at) => Math.max(0, Math.min(1, (at - low) / (high - low)));
    const there = value !== null && value !== undefined;
    return h("div", { class: "bigmeter" }, h("span", {}, name),
      h("div", { class: there && value > limit ? "track over" : "track" }, h("i", { style: { "clip-path": `inset(0 ${100 - 100 * (there ? share(value) : 0)}% 0 0)` } }),
        marks.map((at) => h("u", { style: { left: `${100 * share(at)}%` } })), h("s", { title: `limit ${number(limit)} ${unit}`, style: { left: `${100 * share(limit)}%` } })),
      h("b", {}, !there ? "–" : value < -70 ? "silent" : `${value.toFixed(1)} ${unit}`));
  }

  const again = calm(250, () => load().catch((error) => toast(error.message)));
  let loaded = 0;
  const end = watch(`events?${asQuery({ types: "incident,status,second", stream: id })}`, {
    second: (told) => {
      if (JSON.stringify(told.sync) !== JSON.stringify(stream.status.sync)) change({ ...stream, status: { ...stream.status, sync: told.sync } });
      const level = (name) => (told.levels[name] ? told.levels[name][1] : null);
      const limits = byMeasure.get("short_term"), peaks = byMeasure.get("true_peak_db");
      const loud = limits && !limits.below ? limits.enter : -9, peak = peaks ? peaks.enter : -1;
      fill(meters, meter("momentary", level("momentary"), -60, 3, "LUFS", -9, [-48, -36, -23, -12, 0]), meter("short-term", level("short_term"), -60, 3, "LUFS", loud, [-48, -36, -23, -12, 0]), meter("true peak", level("true_peak_db"), -60, 3, "dBTP", peak, [-48, -36, -23, -12, 0]),
        h("div", { class: "bigmeter scale" }, h("span", {}), h("div", {}, [-48, -36, -23, -12, 0].map((at) => h("span", { style: { left: `${100 * (at + 60) / 63}%` } }, String(at)))), h("b", {})));
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

/**
 * From when to when it was bad, in Unix seconds. It was told when it had been bad for as long as its rule asks for.
 * @param rule of its detector, where it is known.
 */
export function lasted(incident, rule, now) {
  const from = Date.parse(incident.opened_at) / 1000 - (rule ? rule.set_seconds || 0 : 0);
  if (incident.state === "open") return [from, Math.max(now, from)];
  const closed = incident.closed_at ? Date.parse(incident.closed_at) / 1000 : now;
  // What a stream's own time lasted; where the stream itself was away, its time stood still.
  return [from, incident.duration === null || incident.detector.startsWith("stream.") ? closed : Math.min(Math.max(from + incident.duration, from), Math.max(closed, from))];
}

/**
 * An incident as one line of a list.
 * @param named whether the stream is told too.
 */
export function row(incident, named = true) {
  const length = incident.closed_at ? (Date.parse(incident.closed_at) - Date.parse(incident.opened_at)) / 1000 : null;
  const pictured = incident.evidence.some((one) => one.kind === "thumbnail");
  return h("a", { class: `row is-${incident.severity}`, href: `#/incidents/${incident.id}`, "data-id": incident.id }, shape(incident.severity, 20),
    h("span", { class: "thumb" }, pictured ? h("img", { src: `api/v1/incidents/${encoded(incident.id)}/thumbnail`, alt: "", loading: "lazy", width: 64, height: 36 }) : incident.detector.startsWith("audio.") ? "♪" : null),
    h("span", { class: "main" }, h("b", {}, spoken(incident.detector)), named === false ? null : h("span", {}, incident.subject)),
    h("span", { class: "cause" }, incident.cause || ""),
    h("span", { class: "marks" }, [incident.muted ? "muted" : "", incident.acknowledged_by ? `taken by ${incident.acknowledged_by}` : "", incident.comments.length ? `${incident.comments.length} said` : ""].filter(Boolean).join(", ")),
    h("span", { class: "length" }, incident.state === "open" ? h("strong", { class: "open" }, `open, ${ago(incident.opened_at)}`) : lasting(incident.duration ?? length)),
    h("time", { datetime: incident.opened_at }, when(incident.opened_at)));
}

/** Shows rows in place of those that were there; whoever is at one stays at it. */
export function rows(list, incidents, named = true) {
  const at = list.contains(document.activeElement) ? document.activeElement.dataset.id : null;
  fill(list, incidents.map((one) => row(one, named)));
  if (at) list.querySelector(`[data-id="${CSS.escape(at)}"]`)?.focus({ preventScroll: true });
}
