// What measures are called where their own name says little, and what they are counted in.

import { spoken } from "./format.js";

const NAMES = {
  momentary: "Loudness, momentary", short_term: "Loudness, short-term", true_peak_db: "True peak", luma_mean: "Mean luma",
  mafd: "Change between pictures", black_ratio: "Black share", network_corruption: "Damage, by the network", blocks: "Blockiness", quiet: "Quiet",
};
const UNITS = { momentary: "LUFS", short_term: "LUFS", true_peak_db: "dBTP", hum: "dB", hiss: "dB", imbalance: "dB", level_jump: "LU" };

export const named = (measure) => NAMES[measure] || spoken(measure).replace(/^./, (first) => first.toUpperCase());
export const unitOf = (measure) => UNITS[measure] || (measure.endsWith("_seconds") ? "s" : "");
