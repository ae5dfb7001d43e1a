// Strands: stretches of rows of one trace that are drawn along one time axis, of one run or as the mean over several.

import {matching} from "./records.js";

const KEPT = 4e7; // numbers of lines that are kept for the next picture

/** What is to be drawn for a state: one strand for each trace, or the difference of each to the first, and each run or their mean.
 *
 * A strand has x (times of rows), starts (when what a row stands for began), breaks, and parts [{source, runs, rows}]:
 * one, or two whose difference is shown; rows are indices into the trace.
 */
export function strandsOf(sources, state) {
  const [first, ...others] = sources,
    groups = state.spread === "mean" ? [state.seeds] : state.seeds.map((run) => [run]);
  const found = [];
  for (const runs of groups) {
    const own = state.axis === "model" ? [whole(first, runs, state)] : onsets(first, runs, state);
    const theirs = others.flatMap((other) => own.map((one) => matched(one, first, other, state))).filter(Boolean);
    if (others.length && state.compare === "difference")
      found.push(...theirs.map((other) => differing(other.of, other)).filter(Boolean));
    else found.push(...own, ...theirs);
  }
  return found;
}

function strand(source, runs, rows, place, offset, more) {
  const x = new Float64Array(rows.length),
    starts = new Float64Array(rows.length),
    breaks = new Uint8Array(rows.length);
  rows.forEach((row, i) => {
    x[i] = source.ends[row] - offset[i];
    starts[i] = source.begins[row] - offset[i];
    breaks[i] = i === 0 || row !== rows[i - 1] + 1 || source.breaks[row] ? 1 : 0;
  });
  const key = `${source.number}/${runs}/${place}/${rows[0]}-${rows.at(-1)}/${rows.length}/${more.tag ?? ""}`;
  return {x, starts, breaks, key, parts: [{source, runs, place, rows}], ...more};
}

/** All rows of a trace. */
function whole(source, runs, state) {
  const rows = Uint32Array.from({length: source.rows}, (_, row) => row);
  return strand(source, runs, rows, state.place, new Float64Array(source.rows), {whole: true});
}

/** The chosen presentations, each from its onset. */
function onsets(source, runs, state) {
  return [[state.p, state.place], ...state.also].map(([p, place]) => {
    const [start, stop] = source.presentations[p].rows;
    const rows = Uint32Array.from({length: stop - start}, (_, i) => start + i);
    return strand(source, runs, rows, place, new Float64Array(rows.length).fill(source.onset(p)), {
      item: [p, place],
      number: source.presentations[p].n,
    });
  });
}

/** What another trace has of the same examples, each where the strand has it; null if it has none. */
function matched(own, source, other, state) {
  const [{runs, place}] = own.parts,
    theirs = runs.map((run) => runIn(source, other, run));
  const items = own.whole ? source.presentations.map((_, p) => [p, place]) : [own.item];
  const rows = [],
    offsets = [];
  let lane = null;
  for (const [p, b] of items) {
    const found = matching(source, other, p, b, runs[0], theirs[0]);
    if (!found || (lane !== null && found[1] !== lane)) continue;
    lane = found[1];
    const [start, stop] = other.presentations[found[0]].rows,
      at = state.axis === "model" ? source.onset(p) : 0;
    for (let row = start; row < stop; row++) {
      rows.push(row);
      offsets.push(other.onset(found[0]) - at);
    }
  }
  if (!rows.length) return null;
  return strand(other, theirs, Uint32Array.from(rows), lane, offsets, {
    of: own,
    item: own.item,
    tag: `~${own.key}`,
    other: true,
  });
}

/** The place of the run with the same seed, or the same place. */
function runIn(source, other, run) {
  const same = other.seeds.indexOf(source.seeds[run]);
  return same >= 0 ? same : Math.min(run, other.seeds.length - 1);
}

/** The rows that two strands have at the same times: their difference. */
function differing(own, theirs) {
  const here = [],
    there = [],
    near = own.parts[0].source.dt / 4;
  for (let i = 0, j = 0; i < own.x.length && j < theirs.x.length; ) {
    const gap = own.x[i] - theirs.x[j];
    if (Math.abs(gap) < near) {
      here.push(i++);
      there.push(j++);
    } else if (gap < 0) i++;
    else j++;
  }
  if (!here.length) return null;
  const pick = (values, places) => values.constructor.from(places, (i) => values[i]);
  const part = ({parts: [one]}, places) => ({...one, rows: pick(one.rows, places)});
  const breaks = Uint8Array.from(here, (i, n) => (n === 0 || own.breaks[i] || i !== here[n - 1] + 1 ? 1 : 0));
  return {
    x: pick(own.x, here),
    starts: pick(own.starts, here),
    breaks,
    key: `${theirs.key}-${own.key}`,
    item: own.item,
    whole: own.whole,
    parts: [part(theirs, there), part(own, here)],
  };
}

const kept = new Map(); // key → {middle, low, high}, the last used last
let held = 0;

/** A unit's values along a strand: {middle} and, for the mean over runs, their range {low, high}; of log, sizes. */
export function lineOf(one, name, unit, log) {
  const key = `${one.key}/${name}/${unit}/${log}`;
  if (kept.has(key)) {
    const line = kept.get(key);
    kept.delete(key);
    kept.set(key, line);
    return line;
  }
  const found = one.parts.map((part) => partLine(part, name, unit, log && one.parts.length === 1));
  if (found.includes(null)) return null;
  let [line] = found;
  if (found.length === 2) {
    const middle = line.middle.map((value, i) => value - found[1].middle[i]);
    line = {middle: log ? middle.map(Math.abs) : middle};
  }
  kept.set(key, line);
  held += line.middle.length * (line.low ? 3 : 1);
  for (const [old, {middle, low}] of kept) {
    if (held < KEPT || old === key) break;
    kept.delete(old);
    held -= middle.length * (low ? 3 : 1);
  }
  return line;
}

function partLine({source, runs, place, rows}, name, unit, log) {
  const at = source.variables[name]?.units.indexOf(unit) ?? -1,
    data = source.ready.get(name);
  if (at < 0 || !data) return null;
  const lines = runs.map((run) => {
    const offset = source.offset(name, run, place) + at * source.rows,
      values = new Float64Array(rows.length);
    for (let i = 0; i < rows.length; i++) values[i] = data.values[data.codes[offset + rows[i]]];
    return log ? values.map(Math.abs) : values;
  });
  if (lines.length === 1) return {middle: lines[0]};
  return {
    middle: lines[0].map((_, i) => lines.reduce((sum, line) => sum + line[i], 0) / lines.length),
    low: lines[0].map((_, i) => Math.min(...lines.map((line) => line[i]))),
    high: lines[0].map((_, i) => Math.max(...lines.map((line) => line[i]))),
  };
}

/** The first place of rising values that is not below `value`. */
export function firstAt(values, value) {
  let low = 0,
    high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
