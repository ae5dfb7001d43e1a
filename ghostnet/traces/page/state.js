// What is chosen: one plain object, kept in the address's hash, so that a view can be shared.

const DEFAULTS = {
  axis: "model",
  p: 0,
  place: 0,
  also: [],
  from: null,
  to: null,
  panels: [],
  heat: 0,
  seeds: [0],
  spread: "each",
  compare: "over",
  fit: true,
  order: "unit",
  theme: "",
  misses: false,
};

/** What is shown first: as in the paper's Figure 4, the outputs, and the hidden error below. */
export function initial(source) {
  const names = Object.keys(source.variables),
    state = structuredClone(DEFAULTS);
  const output = [`r_${source.depth}`, `s_${source.depth}`].find((name) => names.includes(name)) ?? names[0];
  const below = ["norm_e_1", "e_1"].find((name) => names.includes(name)) ?? names.find((name) => name !== output);
  state.panels = [output, below].filter(Boolean).map((name) => panelOf(source, name));
  const layers = names.filter((name) => source.variables[name].units.length > 12);
  state.heat = ["e_1", "r_1", "s_1"].find((name) => layers.includes(name)) ?? layers[0] ?? output;
  const {rows} = source.presentations[Math.min(5, source.presentations.length - 1)];
  state.from = source.begins[0];
  state.to = source.ends[rows[1] - 1];
  return state;
}

/** A panel of lines: few units, those that move most where a layer has many. */
export function panelOf(source, name) {
  const {units, lively, kind, symbol} = source.variables[name];
  const chosen = units.length <= 12 ? units : lively.map((place) => units[place]);
  return {name, units: [...chosen], log: kind === "log" && symbol === "e"};
}

export function toHash(state) {
  const words = Object.entries(state)
    .filter(([key, value]) => key !== "panels" && JSON.stringify(value) !== JSON.stringify(DEFAULTS[key]))
    .map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)]);
  const panels = state.panels.map(({name, units, log}) => ["panel", `${name}:${spans(units)}${log ? ":log" : ""}`]);
  return `#${new URLSearchParams([...words, ...panels])}`;
}

/** The state that a hash tells of, over `state`; what fits no trace is left as it was. */
export function fromHash(hash, state, source) {
  const words = new URLSearchParams(hash.slice(1)),
    found = {...state};
  for (const [key, fallback] of Object.entries(DEFAULTS)) {
    if (key === "panels" || !words.has(key)) continue;
    const text = words.get(key);
    try {
      found[key] = typeof fallback === "string" || key === "heat" ? text : JSON.parse(text);
    } catch {
      found[key] = state[key];
    }
  }
  const panels = words
    .getAll("panel")
    .map((text) => text.split(":"))
    .filter(([name]) => name in source.variables)
    .map(([name, ...rest]) => {
      const log = rest.at(-1) === "log",
        text = (log ? rest.slice(0, -1) : rest).join(":");
      return {name, units: unitsOf(text, source.variables[name].units), log};
    });
  if (panels.length) found.panels = panels;
  return fitting(found, state, source);
}

function fitting(found, state, source) {
  const run = (place) => Number.isInteger(place) && place >= 0 && place < source.seeds.length;
  if (!(found.p in source.presentations)) found.p = 0;
  if (!(found.place in source.places)) found.place = 0;
  if (!(found.heat in source.variables)) found.heat = state.heat;
  if (!Array.isArray(found.seeds) || !found.seeds.length || !found.seeds.every(run)) found.seeds = state.seeds;
  if (!Array.isArray(found.also)) found.also = [];
  found.also = found.also.filter(([p, place]) => p in source.presentations && place in source.places);
  if (!(found.to > found.from)) [found.from, found.to] = [state.from, state.to];
  return found;
}

/** Units as text: "0-4,7". */
export function spans(units) {
  const words = [];
  for (let i = 0; i < units.length; i++) {
    const first = units[i];
    while (units[i + 1] === units[i] + 1) i++;
    words.push(units[i] > first ? `${first}-${units[i]}` : `${first}`);
  }
  return words.join(",");
}

/** Those of the recorded units that a text names: "0-4, 7", or "all". */
export function unitsOf(text, recorded) {
  if (text.trim() === "all") return [...recorded];
  const there = new Set(recorded),
    found = new Set();
  for (const [, first, last] of text.matchAll(/(\d+)(?:\s*[-:]\s*(\d+))?/g)) {
    for (let unit = +first; unit <= Math.min(+(last ?? first), recorded.at(-1)); unit++)
      if (there.has(unit)) found.add(unit);
  }
  return [...found];
}
