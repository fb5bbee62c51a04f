// The service itself: whether it does its work, its engines and their room, what waits, and what failed.

import { may, post, watch } from "./api.js";
import { button, fill, h, keyed, toast } from "./dom.js";
import { bytes, number, percent, spoken, when } from "./format.js";
import { session } from "./api.js";
import { wall } from "./app.js";
import { ORDER, shape, WORDS } from "./states.js";

/** Lines of Prometheus' text as [name, {label: value}, value] rows. */
function parsed(lines) {
  const rows = [];
  for (const line of lines) {
    const match = /^([a-z_:]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!match) continue;
    const labels = Object.fromEntries([...(match[2] || "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map((m) => [m[1], m[2]]));
    rows.push([match[1], labels, Number(match[3])]);
  }
  return rows;
}

/** The bound below which a share of a histogram lies, in words. */
function within(rows, name, labels, share) {
  const buckets = rows.filter(([n, l]) => n === `${name}_bucket` && Object.entries(labels).every(([k, v]) => l[k] === v)).map(([, l, v]) => [l.le === "+Inf" ? Infinity : Number(l.le), v]).sort((a, b) => a[0] - b[0]);
  const all = buckets.length ? buckets[buckets.length - 1][1] : 0;
  if (!all) return "–";
  const bound = buckets.find(([, count]) => count >= share * all)[0];
  const told = (seconds) => (seconds < 1 ? `${number(seconds * 1000)} ms` : `${number(seconds)} s`);
  const last = buckets.length > 1 ? buckets[buckets.length - 2][0] : 0;
  return bound === Infinity ? `more than ${told(last)}` : told(bound);
}

export async function show(main) {
  const ready = h("div", {}), gpus = h("div", { class: "cards" }), engines = h("div", { class: "cards" }), numbers = h("div", { class: "cards" }), planted = h("div", {}), letters = h("div", {});
  const reload = button("Read the configuration again", async () => {
    const told = await post("reload");
    toast(`Read: ${told.added.length} added, ${told.changed.length} changed, ${told.removed.length} removed${told.needs_restart.length ? `; after the next start: ${told.needs_restart.join(", ")}` : ""}.`, "good");
  });
  // Beside what is built anew as its numbers change: a button that is moved loses the focus.
  fill(main, h("h1", {}, "System"), ready, may("admin") ? h("div", { class: "tools" }, reload) : null, h("h2", {}, "Devices and engines"), gpus, engines, h("h2", {}, "Queues"), numbers, planted, letters);
  const card = (title, ...rows) => h("section", { class: "card" }, h("h3", {}, title), h("dl", { class: "facts" }, rows.filter(Boolean).map(([k, v]) => h("div", {}, h("dt", {}, k), h("dd", {}, v)))));
  const gauge = (share, limit) => h("span", { class: "gauge" }, h("i", { class: share > limit ? "over" : "", style: { transform: `scaleX(${Math.max(0, Math.min(1, share))})` } }));

  function told({ service: state, engines: list, canary, metrics, dead_letters: dead }) {
    const rows = parsed(metrics);
    const value = (name, labels = {}) => rows.filter(([n, l]) => n === name && Object.entries(labels).every(([k, v]) => l[k] === v)).reduce((sum, [, , v]) => sum + v, 0);
    const failing = Object.entries(state.not_ready);
    // Seconds that cannot be stored wait on this disk: the service does its work, and somebody should know.
    const store = rows.find(([n]) => n === "avjury_verdict_store_store_up")?.[2];
    const works = store === 0 ? "Everything works but the store of seconds, which is away: they wait on this disk" : "Everything works";
    const counts = ORDER.map((one) => [one, [...wall.tiles.values()].filter((t) => t.state === one).length]).filter(([, n]) => n);
    const about = `avjury ${session.release}, process ${state.pid}, ${bytes(state.resident_bytes)}; ${state.streams} ${state.streams === 1 ? "stream" : "streams"}; timelines for ${number(state.history_hours)} h. `;
    keyed(ready, [failing, counts, about, works], () => h("div", { class: failing.length ? "card bad" : "card good" }, h("h3", {}, failing.length ? "Not all of it works" : works),
      failing.map(([part, why]) => h("p", {}, h("b", {}, part), `: ${why}`)),
      h("p", { class: "states" }, counts.map(([one, n]) => h("span", {}, shape(one, 16), ` ${n} ${WORDS[one]} `))),
      h("p", { class: "hint" }, about, h("a", { href: "docs" }, "API"), ", ", h("a", { href: "metrics" }, "metrics"), ".")));
    const busy = (name, gpu) => rows.find(([n, l]) => n === name && l.gpu === gpu)?.[2] ?? null;
    const share = (value) => (value === null ? "not told" : [gauge(value, 0.95), ` ${percent(value)}`]);
    fill(gpus, [...new Set(rows.filter(([n]) => n === "avjury_gpu_memory_bytes").map(([, l]) => l.gpu))].map((gpu) => {
      const used = busy("avjury_gpu_memory_used_bytes", gpu), there = busy("avjury_gpu_memory_bytes", gpu);
      return card(`GPU ${gpu}`, ["Kernels", share(busy("avjury_gpu_utilization_ratio", gpu))], ["Decoders (NVDEC)", share(busy("avjury_gpu_nvdec_utilization_ratio", gpu))],
        ["Memory", [gauge(used / there, 0.95), ` ${bytes(used)} of ${bytes(there)}`]]);
    }));
    fill(engines, list.map((e) => card(`${e.name} on ${e.device}`,
      ["State", e.up ? `up, process ${e.pid}` : "down"], ["Load", [gauge(e.load, 0.9), ` ${percent(e.load)}`]],
      ["Streams", [gauge(e.streams / Math.max(1, e.streams + e.headroom_streams), 0.95), ` ${e.streams}, room for ${e.headroom_streams} more`]], e.detail ? ["Why", e.detail] : null,
      ["Verdict after", `${within(rows, "avjury_verdict_latency_seconds", { engine: e.name }, 0.5)} for half, ${within(rows, "avjury_verdict_latency_seconds", { engine: e.name }, 0.99)} for 99 %`], ["Memory", bytes(e.resident_bytes)], ["Waiting", `${e.queue_depth} pictures and blocks`],
      ["Batch", `${number(e.batch_frames)} pictures`], ["Restarts", String(e.restarts)],
      e.counters.nvdec_sessions === undefined ? null : ["NVDEC", `${e.counters.nvdec_sessions} sessions`],
      ["To the host", bytes(e.counters.device_to_host_bytes || 0)])));
    const sinks = [...new Set(rows.filter(([n]) => n === "avjury_notifications_pending").map(([, l]) => l.sink))];
    fill(numbers,
      card("Incidents", ["Reports that wait", number(value("avjury_recorder_backlog"))], ["Reports lost", number(value("avjury_recorder_dropped_total"))], ["Kept", number(value("avjury_recorder_reports_total"), 6)]),
      card("Seconds", ["Wait in memory", number(value("avjury_verdict_store_queued_seconds"))], ["In the spool", bytes(value("avjury_verdict_store_spool_bytes"))], ["Store", store === undefined ? "none" : store ? "up" : "away"]),
      card("Notifications", ...(sinks.length ? sinks.map((sink) => [sink, `${number(value("avjury_notifications_pending", { sink }))} wait, ${number(value("avjury_notifications_total", { sink, outcome: "delivered" }), 6)} delivered${value("avjury_notification_sink_failing", { sink }) ? ", refusing" : ""}`]) : [["Sinks", "none"]])),
      card("Watchers", ["Event streams", number(value("avjury_event_clients"))], ["Walls", String(state.walls)]));
    fill(planted, canary.enabled ? [h("h2", {}, "Canary"), h("p", { class: "hint" }, canary.up ? "A channel of the service's own is judged, into which known defects are planted." : "The service's own channel is not judged now."),
      h("table", {}, h("thead", {}, h("tr", {}, ["detector", "planted", "found", "missed", "of the last 20", "known after"].map((x) => h("th", {}, x)))), h("tbody", {}, canary.detectors.map((one) =>
        h("tr", { class: one.missed ? "bad" : "" }, h("td", {}, one.detector), h("td", {}, String(one.planted)), h("td", {}, String(one.found)), h("td", {}, String(one.missed)), h("td", {}, one.recall === null ? "-" : percent(one.recall)), h("td", {}, one.mean_seconds === null ? "-" : `${number(one.mean_seconds)} s, set ${number(one.set_seconds)} s`))))),
      Object.keys(canary.unexpected).length ? h("p", { class: "hint" }, `Told, and not planted: ${Object.entries(canary.unexpected).map(([name, count]) => `${name} (${count})`).join(", ")}`) : null] : null);
    keyed(letters, dead, () => dead.length ? [h("div", { class: "bar" }, h("h2", {}, "Given up"), h("span", { class: "spring" }), button("Try all again", async () => {
      await post("dead-letters/revive", { ids: dead.map((one) => one.id) });
    })), h("table", {}, h("thead", {}, h("tr", {}, ["sink", "change", "incident", "given up", "why"].map((x) => h("th", {}, x)))), h("tbody", {}, dead.map((one) =>
      h("tr", {}, h("td", {}, one.sink), h("td", {}, spoken(one.change)), h("td", {}, h("a", { href: `#/incidents/${one.incident_id}` }, one.payload.detector || one.incident_id)), h("td", {}, when(one.settled_at)), h("td", {}, one.error || "")))))] : null);
  }
  return watch("service/events", { service: told });
}
