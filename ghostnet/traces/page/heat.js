// The heat map: all units of a layer over time, a colour for each; of several rows or units in a pixel, the value that is
// farthest from the middle of the colours (0 where there are signs, else the least).

import {encoded, INFINITE, NAN, valuesOf, zeroOf} from "./coding.js";
import {lineOf} from "./strands.js";

const FACTOR = 8; // rows of a level of the pyramid in one of the next

/** Codes of all units along a strand: {codes, rows, units, values, zero, signed, levels}. Kept for the last strand. */
export function blockOf(strand, name) {
  const [{source, runs, place, rows}] = strand.parts,
    variable = source.variables[name];
  const plain = strand.parts.length === 1 && runs.length === 1;
  let codes,
    coding = variable;
  if (plain) {
    const start = source.offset(name, runs[0], place),
      length = variable.units.length * source.rows;
    codes = source.ready.get(name).codes.subarray(start, start + length);
    if (!strand.whole) codes = cut(codes, source.rows, rows);
  } else {
    const all = new Float64Array(variable.units.length * rows.length);
    variable.units.forEach((unit, i) => all.set(lineOf(strand, name, unit, false).middle, i * rows.length));
    ({codes, coding} = encoded(all, variable.kind));
  }
  const values = valuesOf(coding),
    [low, high] = rangeOf(codes, values);
  const signed = low < 0,
    zero = signed ? zeroOf(coding) : 0;
  const block = {codes, rows: rows.length, units: variable.units, values, low, high, signed, zero, coding};
  return Object.assign(block, {levels: pyramid(block)});
}

function cut(codes, rows, kept) {
  const units = codes.length / rows,
    found = new Uint16Array(units * kept.length);
  for (let unit = 0; unit < units; unit++) {
    found.set(codes.subarray(unit * rows + kept[0], unit * rows + kept[0] + kept.length), unit * kept.length);
  }
  return found;
}

function rangeOf(codes, values) {
  let low = NAN,
    high = 0;
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i];
    if (code < low && code > 0) low = code;
    if (code > high && code < INFINITE) high = code;
  }
  return [values[low], values[high]];
}

/** Levels of ever fewer rows: of FACTOR of them, the code that is farthest from zero's. */
function pyramid({codes, rows, units, zero}) {
  const levels = [{codes, rows}];
  while (levels.at(-1).rows > 4 * FACTOR) {
    const {codes: from, rows: many} = levels.at(-1),
      few = Math.ceil(many / FACTOR);
    const found = new Uint16Array(few * units.length);
    for (let unit = 0; unit < units.length; unit++) {
      for (let row = 0; row < few; row++) {
        const start = unit * many + row * FACTOR,
          stop = unit * many + Math.min(many, (row + 1) * FACTOR);
        found[unit * few + row] = farthest(from, start, stop, zero);
      }
    }
    levels.push({codes: found, rows: few});
  }
  return levels;
}

function farthest(codes, start, stop, zero) {
  let found = codes[start],
    most = Math.abs(found - zero);
  for (let i = start + 1; i < stop; i++) {
    const size = Math.abs(codes[i] - zero);
    if (size > most) {
      most = size;
      found = codes[i];
    }
  }
  return found;
}

/** Pixels (lines × columns, RGBA) of a block; edges, covered as of lines.js; order: places of units from the top. */
export function pixelsOf(block, edges, covered, lines, colours, order) {
  const columns = edges.length - 1,
    image = new ImageData(columns, lines),
    pixels = new Uint32Array(image.data.buffer);
  const codes = codesSeen(block, edges, lines, order);
  for (let line = 0, at = 0; line < lines; line++) {
    for (let column = 0; column < columns; column++, at++) {
      if (covered[column]) pixels[at] = colours[codes[at]];
    }
  }
  return image;
}

/** The code of every pixel. Where the time has moved by whole columns since, those of the picture before are kept. */
function codesSeen(block, edges, lines, order) {
  const columns = edges.length - 1,
    {seen} = block,
    shift = seen ? shiftOf(seen.edges, edges) : null;
  const same = seen?.lines === lines && shift !== null && seen.order.every((unit, at) => unit === order[at]);
  const codes = new Uint16Array(lines * columns);
  const [start, stop] = !same ? [0, columns] : shift > 0 ? [columns - shift, columns] : [0, -shift];
  for (let line = 0; line < lines; line++) {
    const own = codes.subarray(line * columns, (line + 1) * columns);
    if (same) {
      const old = seen.codes.subarray(line * columns, (line + 1) * columns);
      own.set(shift > 0 ? old.subarray(shift) : old.subarray(0, columns + shift), Math.max(0, -shift));
    }
    lineCodes(block, edges.subarray(start, stop + 1), own.subarray(start, stop), line, lines, order);
  }
  block.seen = {edges, lines, order, codes};
  return codes;
}

/** How many columns later the rows of one picture are in another; null where they do not coincide. */
function shiftOf(before, after) {
  const length = before.length,
    middle = length >> 1;
  for (const shift of candidates(before, after[middle], middle)) {
    let same = true;
    for (let column = Math.max(0, -shift); same && column < Math.min(length, length - shift); column++) {
      same = after[column] === before[column + shift];
    }
    if (same) return shift;
  }
  return null;
}

/** The shifts that bring a row to a column. */
function candidates(before, row, column) {
  const found = [];
  for (let at = 0; at < before.length; at++) if (before[at] === row) found.push(at - column);
  return found;
}

function lineCodes(block, edges, codes, line, lines, order) {
  const first = Math.floor((line * order.length) / lines),
    next = Math.floor(((line + 1) * order.length) / lines);
  const last = Math.max(first + 1, next);
  codes.fill(block.zero);
  for (let at = first; at < last; at++) unitCodes(block, order[at], edges, codes, at === first);
}

function unitCodes({levels, rows, zero}, unit, edges, codes, alone) {
  for (let column = 0; column < codes.length; column++) {
    let start = edges[column],
      stop = Math.max(edges[column + 1], start + 1);
    if (start >= rows) continue;
    stop = Math.min(stop, rows);
    let level = 0,
      size = 1;
    while (level < levels.length - 1 && stop - start > 4 * FACTOR * size) {
      level++;
      size *= FACTOR;
    }
    const {codes: from, rows: many} = levels[level],
      base = unit * many;
    const code = farthest(from, base + Math.floor(start / size), base + Math.min(many, Math.ceil(stop / size)), zero);
    if (alone || Math.abs(code - zero) > Math.abs(codes[column] - zero)) codes[column] = code;
  }
}

/** The colour of every code. log: by size, over at most six decades. Returns {colours, low, high, signed, log}. */
export function coloursOf({values, low, high, signed}, log, themes) {
  const most = Math.max(Math.abs(low), Math.abs(high)) || 1,
    least = log ? most * 1e-6 : signed ? -most : low;
  const ramp = signed && !log ? themes.diverging : themes.rising,
    colours = new Uint32Array(65536);
  const from = log ? Math.log(least) : least,
    width = (log ? Math.log(most) : signed ? most : high) - from || 1;
  for (let code = 0; code < 65536; code++) {
    const value = log ? Math.log(Math.abs(values[code])) : values[code];
    const place = Math.min(1, Math.max(0, (value - from) / width));
    colours[code] = Number.isNaN(value) ? themes.broken : ramp[Math.round(place * 255)];
  }
  return {colours, low: least, high: log || signed ? most : high, ramp, log};
}

/** 256 colours, as pixels have them, through anchors [[r, g, b], …]. */
export function rampOf(anchors) {
  return Uint32Array.from({length: 256}, (_, i) => {
    const place = (i / 255) * (anchors.length - 1),
      at = Math.min(anchors.length - 2, Math.floor(place));
    const [r, g, b] = anchors[at].map((value, c) => Math.round(value + (anchors[at + 1][c] - value) * (place - at)));
    return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  });
}

/** Places of units from the top: by number, or by how far they go from the middle between two rows. */
export function orderOf(block, by, start, stop) {
  const places = block.units.map((_, place) => place);
  if (by === "unit") return places;
  const far = places.map((unit) => {
    const code = new Uint16Array(1);
    unitCodes(block, unit, [start, Math.max(start + 1, stop)], code, true);
    return Math.abs(code[0] - block.zero);
  });
  return places.sort((a, b) => far[b] - far[a]);
}
