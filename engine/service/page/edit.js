// A stream is added or changed: looked at first, saved then.

import { call, encoded, get, post } from "./api.js";
import { button, field, fill, h, select, toast } from "./dom.js";
import { number } from "./format.js";

/** The merge patch from one object to another: it keeps what it does not name, so what was taken out is named as null. */
function merge(before, after) {
  const holds = (value) => value !== null && typeof value === "object";
  return Object.fromEntries([...new Set([...Object.keys(before), ...Object.keys(after)])].map((key) => [
    key, !(key in after) ? null : holds(before[key]) && holds(after[key]) ? merge(before[key], after[key]) : after[key],
  ]));
}

export async function show(main, id) {
  const [profiles, stream] = await Promise.all([get("profiles"), id ? get(`streams/${encoded(id)}`) : null]);
  const now = stream || { id: "", url: "", channel: null, profile: null, priority: 50, rendition: "best", reference: null, labels: {}, detectors: {} };
  const name = h("input", { value: now.id, required: true, disabled: Boolean(id), maxlength: 200 });
  const url = h("input", { value: now.url, required: true, placeholder: "https://…/master.m3u8, srt://…, rtsp://…", maxlength: 4096 });
  const channel = h("input", { value: now.channel || "", placeholder: "none" });
  const profile = select([["", "defaults"], ...profiles.items], now.profile || "");
  const priority = h("input", { type: "number", min: 0, max: 100, value: now.priority });
  const rendition = h("input", { value: now.rendition });
  const reference = h("input", { value: now.reference || "", placeholder: "none" });
  const labels = h("textarea", { rows: 3, value: Object.entries(now.labels).map(([k, v]) => `${k}=${v}`).join("\n") });
  const detectors = h("textarea", { rows: 5, spellcheck: "false", value: JSON.stringify(now.detectors, null, 2) });
  const seen = h("div", { class: "probe" });
  const anyway = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => save().catch((error) => toast(error.message)) }, "Save without a test");

  function value() {
    const pairs = labels.value.split("\n").map((line) => line.trim()).filter(Boolean).map((line) => {
      const at = line.indexOf("=");
      if (at < 1) throw new Error(`"${line}" is no label; write NAME=VALUE.`);
      return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    });
    let table;
    try { table = JSON.parse(detectors.value || "{}"); } catch (error) { throw new Error(`Detectors: ${error.message}`); }
    return {
      ...(id ? {} : { id: name.value.trim() }), url: url.value.trim(), channel: channel.value.trim() || null, profile: profile.value || null,
      priority: Number(priority.value), rendition: rendition.value.trim(), reference: reference.value.trim() || null, labels: Object.fromEntries(pairs), detectors: table,
    };
  }

  async function probe() {
    fill(seen, h("p", { class: "hint" }, "Opening it; that takes up to ten seconds …"));
    try {
      const found = await post("streams/probe", { url: url.value.trim() });
      const video = found.video, audio = found.audio;
      fill(seen, h("p", { class: "good" }, "It can be opened."), h("dl", { class: "facts" }, [
        ["Container", `${found.container}${found.live ? ", live" : ""}${found.duration ? `, ${number(found.duration)} s` : ""}`],
        ["Pictures", video ? `${video.codec} ${video.width}x${video.height}${video.frame_rate ? `, ${number(video.frame_rate, 4)} fps` : ""}` : "none"],
        ["Sound", audio ? `${audio.codec} ${audio.sample_rate} Hz ${audio.layout}` : "none"],
      ].map(([k, v]) => h("div", {}, h("dt", {}, k), h("dd", {}, v)))));
      return true;
    } catch (error) {
      fill(seen, h("p", { class: "bad" }, error.message));
      anyway.hidden = false;
      return false;
    }
  }

  async function save() {
    const wanted = value();
    if (id) {
      await call("PATCH", `streams/${encoded(id)}`, { ...wanted, labels: merge(now.labels, wanted.labels), detectors: merge(now.detectors, wanted.detectors) });
    } else {
      await post("streams", wanted);
    }
    toast("Saved.", "good");
    location.hash = `#/streams/${encoded(id || wanted.id)}`;
  }

  // What most streams do not need is folded, unless this one has some of it.
  const special = now.channel || now.reference || now.priority !== 50 || now.rendition !== "best" || Object.keys(now.detectors).length;
  const more = h("details", { class: "more-fields", open: Boolean(special) }, h("summary", {}, "More: channel, rendition, priority, reference, detectors"),
    h("div", { class: "two" }, field("Channel", channel, "Streams of one channel are its renditions; their incidents are one."), field("Rendition", rendition, "best, worst, or a height as 720.")),
    h("div", { class: "two" }, field("Priority", priority, "Who is kept when there is not enough room; higher stays longer."), field("Reference", reference, "Id of a stream of the same programme, to compare with for lip sync and latency.")),
    field("Detectors", detectors, "What differs from the profile, as JSON: {\"video.blur\": false, \"audio.silence\": {\"duration\": 5}}."));

  const form = h("form", { class: "card wideform", onsubmit: async (event) => {
    event.preventDefault();
    const submit = form.querySelector("button.primary");
    submit.disabled = true;
    try {
      value();
      // The address that is shown may have its secrets hidden: it is opened only where it was changed.
      if ((id && url.value.trim() === now.url) || await probe()) await save();
    } catch (error) { toast(error.message); } finally { submit.disabled = false; }
  } },
  h("div", { class: "two" }, field("Id", name, "Unique; part of addresses and metrics."), field("Address", url, "HLS, DASH, RTSP, RTMP, SRT, RTP, UDP, TCP or HTTP.")),
  h("div", { class: "two" }, field("Profile", profile, "What kind of stream it is."), field("Labels", labels, "NAME=VALUE, one a line.")),
  more, seen, h("div", { class: "tools" }, h("button", { class: "primary" }, id ? "Save" : "Test and save"), button("Test only", probe), anyway,
    h("a", { class: "button quiet", href: id ? `#/streams/${encoded(id)}` : "#/" }, "Cancel")));
  fill(main, h("h1", {}, id ? `Edit ${id}` : "Add a stream"), form);
  (id ? url : name).focus();
}
