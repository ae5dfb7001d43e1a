// Traces as the page holds them: rows, presentations, and variables that are decoded when they are first shown.

import {bytesOf, codesOf, countsOf, valuesOf} from "./coding.js";

export class Source {
  /** about: see view_sources.py. number: its place on the page. */
  constructor(about, number) {
    Object.assign(this, about);
    this.about = about;
    this.number = number;
    this.ready = new Map(); // name → {codes, values}
    this.waiting = new Map(); // name → promise of the same
  }

  /** Decode what every view needs: the steps that rows end and begin at, and their phases. */
  async open() {
    const [ends, lengths] = await Promise.all(["step", "row_steps"].map((name) => this.bytes(name).then(countsOf)));
    this.ends = Float64Array.from(ends, (step) => step * this.dt);
    this.begins = Float64Array.from(ends, (step, row) => (step - lengths[row]) * this.dt);
    this.breaks = Uint8Array.from(ends, (step, row) => (row === 0 || step - lengths[row] > ends[row - 1] ? 1 : 0));
    this.phase = new Uint8Array(this.rows);
    this.presentationOf = new Uint32Array(this.rows);
    this.shortest = Infinity; // rows of a phase
    this.presentations.forEach((one, p) => {
      this.presentationOf.fill(p, ...one.rows);
      for (const [phase, start, stop] of one.phases) {
        this.phase.fill(phase, start, stop);
        this.shortest = Math.min(this.shortest, stop - start);
      }
    });
    return this;
  }

  bytes(name) {
    return bytesOf(`data-${this.number}-${name}`);
  }

  /** Decode a variable, once. */
  load(name) {
    if (!this.waiting.has(name)) {
      this.waiting.set(
        name,
        this.bytes(name).then((bytes) => {
          const found = {codes: codesOf(bytes, this.rows), values: valuesOf(this.variables[name])};
          this.ready.set(name, found);
          return found;
        }),
      );
    }
    return this.waiting.get(name);
  }

  /** Where the series of all units of a variable begin among its codes, for a run and a place in the batch. */
  offset(name, run, place) {
    return (run * this.places.length + place) * this.variables[name].units.length * this.rows;
  }

  /** The time at which a presentation began, as far as it was recorded. */
  onset(p) {
    return this.begins[this.presentations[p].rows[0]];
  }
}

/** Whether the network was wrong about what it was shown; null where that was not recorded. */
export function missed(one, run, place) {
  if (!one.said || one.said[run][place] < 0) return null;
  return one.said[run][place] !== one.label[run][place];
}

/** The presentation and place of `other` that showed what `source` did at (p, place): [p, place], or null.
 *
 * They match by the index of the example, and by how often it had been shown; without indices by their order.
 */
export function matching(source, other, p, place, run, otherRun) {
  const wanted = source.presentations[p].index[run][place];
  if (wanted < 0) return p < other.presentations.length && place < other.places.length ? [p, place] : null;
  const theirs = shownOf(other, otherRun).get(wanted) ?? [];
  const times = shownOf(source, run)
    .get(wanted)
    .findIndex(([q, b]) => q === p && b === place);
  return theirs[times] ?? null;
}

/** Example → where a run showed it: [presentation, place] in turn. */
function shownOf(source, run) {
  source.shown ??= new Map();
  if (!source.shown.has(run)) {
    const found = new Map();
    source.presentations.forEach((one, p) =>
      one.index[run].forEach((example, place) => {
        if (!found.has(example)) found.set(example, []);
        found.get(example).push([p, place]);
      }),
    );
    source.shown.set(run, found);
  }
  return source.shown.get(run);
}
