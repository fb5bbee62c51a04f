// All incidents: filtered, searched, the youngest first.

import { asQuery, get, watch } from "./api.js";
import { button, calm, field, fill, h, select, toast } from "./dom.js";
import { row, rows } from "./stream.js";

export async function show(main, _, query) {
  const detectors = (await get("detectors")).items.map((one) => one.name);
  const value = (name, otherwise = "") => query.get(name) || otherwise;
  const text = h("input", { type: "search", value: value("text"), placeholder: "stream, detector, cause, label, comment" });
  const stream = h("input", { value: value("stream"), placeholder: "id or channel" });
  const state = select([["", "open and closed"], ["open", "open"], ["closed", "closed"]], value("state"));
  const severity = select([["", "all"], ["warning", "warning and worse"], ["critical", "critical"]], value("severity"));
  const detector = select([["", "all"], "video.*", "audio.*", "stream.*", ...detectors], value("detector"));
  const taken = select([["", "all"], ["false", "not acknowledged"], ["true", "acknowledged"]], value("acknowledged"));
  const since = select([["", "any time"], ["3600", "last hour"], ["86400", "last day"], ["604800", "last week"]], value("within"));
  const list = h("div", { class: "rows" }), more = h("div", { class: "more" });
  let cursor = null, over = false, asked = 0;

  const wanted = () => ({
    text: text.value.trim(), stream: stream.value.trim(), state: state.value, severity: severity.value, detector: detector.value, acknowledged: taken.value,
  });

  async function load(further) {
    const number = (asked += 1);
    const filters = wanted();
    const kept = asQuery({ ...filters, within: since.value });
    history.replaceState(null, "", `#/incidents${kept ? `?${kept}` : ""}`);
    const page = await get("incidents", { ...filters, since: since.value ? Date.now() / 1000 - Number(since.value) : "", limit: 100, cursor: further ? cursor : null });
    if (over || number !== asked) return;
    cursor = page.next;
    if (further) list.append(...page.items.map((one) => row(one)));
    else if (page.items.length) rows(list, page.items);
    else fill(list, h("p", { class: "empty" }, "Nothing fits."));
    fill(more, cursor ? button("More", () => load(true)) : null);
  }
  const again = calm(200, () => load(false).catch((error) => toast(error.message)));
  for (const one of [text, stream]) one.addEventListener("input", again);
  for (const one of [state, severity, detector, taken, since]) one.addEventListener("change", again);
  const form = h("form", { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() });
  // On a phone the filters are folded until somebody wants them, or has set one.
  const unfold = h("button", { type: "button", class: "unfold", "aria-expanded": "false", onclick: () => unfold.setAttribute("aria-expanded", String(form.classList.toggle("all"))) }, "Filters");
  if ([...query.keys()].some((one) => one !== "text")) form.classList.add("all");
  const searched = field("Search", text);
  searched.classList.add("wideone");
  fill(main, h("h1", {}, "Incidents"), fill(form,
    searched, unfold, field("Stream", stream), field("State", state), field("Severity", severity), field("Detector", detector), field("Acknowledged", taken), field("Since", since)), list, more);
  await load(false);
  // Whoever reads further down keeps the place; new ones come when back at the top.
  const fresh = calm(700, () => { if (window.scrollY < 200) again(); });
  const end = watch("events?types=incident", { incident: fresh, lost: fresh });
  return () => { over = true; end(); };
}
