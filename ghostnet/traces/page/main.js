// The page: what is chosen is kept in `state`; whatever changes it, everything is drawn anew in the next frame.

import {drawCursor} from "./cursor.js";
import {draw, layoutOf} from "./figure.js";
import {THEMES, themeOf} from "./look.js";
import {fillControls, placeControls} from "./controls.js";
import {listen} from "./moving.js";
import {Source} from "./records.js";
import {saveCsv, savePng, saveSvg} from "./saving.js";
import {fillSidebar, mark} from "./sidebar.js";
import {fromHash, initial, toHash} from "./state.js";
import {strandsOf} from "./strands.js";
import {helpText, sourceText} from "./words.js";

const at = (id) => document.getElementById(id);
const sources = JSON.parse(at("about").textContent).map((about, i) => new Source(about, i));
let state,
  layout,
  drawn,
  point = null,
  waiting = false,
  made = {key: null, strands: []};

const page = {
  sources,
  change,
  pick,
  moved,
  cursor,
  get state() {
    return state;
  },
  get drawn() {
    return drawn;
  },
  get layout() {
    return layout;
  },
};

/** Strands are made anew when what they depend on has changed, not while the view moves. */
function strands() {
  const key = JSON.stringify([state.axis, state.p, state.place, state.also, state.seeds, state.spread, state.compare]);
  if (made.key !== key) made = {key, strands: strandsOf(sources, state)};
  return made.strands;
}

const scene = () => ({sources, state, strands: strands(), theme: THEMES[themeOf(state)]});

/** Change what is chosen: draw, and keep it in the address. */
function change(changes) {
  Object.assign(state, changes);
  need();
  history.replaceState(null, "", toHash(state));
  refresh();
}

/** Only the time that is in view has changed. */
function moved(from, to) {
  const [first, last] = ends(),
    width = Math.min(to - from, (last - first) * 1.04);
  from = Math.min(Math.max(from, first - (last - first) * 0.02), last + (last - first) * 0.02 - width);
  const column = width / layout.width; // whole columns, so that what has been drawn can be used again
  from = Math.round(from / column) * column;
  Object.assign(state, {from, to: from + width});
  paint();
  clearTimeout(moved.later);
  moved.later = setTimeout(() => history.replaceState(null, "", toHash(state)), 300);
}

/** The least and the greatest time that there is to be seen. */
function ends() {
  const all = strands();
  if (!all.length) return [state.from, state.to];
  return [Math.min(...all.map(({starts}) => starts[0])), Math.max(...all.map(({x}) => x.at(-1)))];
}

/** Go to a presentation; with `beside`, show it together with those chosen before. */
function pick(p, place, beside = false) {
  const before = [[state.p, state.place], ...state.also],
    same = ([q, b]) => q === p && b === place;
  const also = beside && !before.some(same) ? before : beside ? before.filter((item) => !same(item)).slice(1) : [];
  change({p, place, also, axis: beside && also.length ? "onset" : state.axis});
  mark(at("list"), state);
  one();
}

/** The chosen presentation, or all from their onsets. */
function one() {
  const [source] = sources,
    [start, stop] = source.presentations[state.p].rows;
  if (state.axis === "onset") moved(...ends());
  else {
    const [from, to] = [source.begins[start], source.ends[stop - 1]],
      near = Math.abs(state.to - state.from) < 12 * (to - from);
    const width = near ? Math.max(state.to - state.from, to - from) : 1.1 * (to - from);
    const middle = (from + to) / 2;
    moved(middle - width / 2, middle + width / 2);
  }
}

/** Decode what is shown and not there yet; the rest comes when it is asked for. */
function need() {
  const names = new Set([...state.panels.map(({name}) => name), state.heat]);
  for (const source of sources) {
    for (const name of names) if (name in source.variables && !source.ready.has(name)) source.load(name).then(paint);
  }
}

function paint() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    paintNow();
  });
}

function paintNow() {
  const box = at("figure").getBoundingClientRect(),
    ratio = devicePixelRatio || 1;
  layout = layoutOf(state, box.width, box.height);
  for (const canvas of [at("plot"), at("cursor")]) {
    const [width, height] = [layout.full, layout.height].map((size) => Math.round(size * ratio));
    if (canvas.width !== width || canvas.height !== height) {
      Object.assign(canvas, {width, height});
      canvas.style.width = `${layout.full}px`;
      canvas.style.height = `${layout.height}px`;
    }
    canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
  }
  placeControls(at("controls"), layout);
  drawn = draw(at("plot").getContext("2d"), layout, scene());
  cursor(point);
  document.body.dataset.frames = String(+(document.body.dataset.frames ?? 0) + 1);
  document.body.dataset.ready = String(
    [state.heat, ...state.panels.map(({name}) => name)].every((name) => sources[0].ready.has(name)),
  );
}

/** Show the read-out at a point of the figure; returns the unit of the heat map there. */
function cursor(next) {
  point = next;
  return drawCursor(at("cursor").getContext("2d"), layout, scene(), drawn, point);
}

/** Controls, sidebar and notes after a change. */
function refresh() {
  document.documentElement.dataset.theme = themeOf(state);
  for (const button of document.querySelectorAll("[data-set]"))
    button.classList.toggle("on", state[button.dataset.set] === button.dataset.value);
  for (const button of at("seeds").children) button.classList.toggle("on", state.seeds.includes(+button.dataset.run));
  at("spread").hidden = state.seeds.length < 2;
  at("fit").checked = state.fit;
  at("misses").checked = state.misses;
  fillControls(at("controls"), page);
  at("note").textContent = noteText();
  paint();
}

/** What is to be known of the numbers: how exact they are, and what has no counterpart. */
function noteText() {
  const [source] = sources,
    names = [...new Set(state.panels.map(({name}) => name))],
    words = [];
  const errors = names
    .map((name) => source.variables[name])
    .map(
      ({is, error}, i) => `${names[i]} to ${is === "relative" ? `${+(100 * error).toPrecision(2)} %` : `±${error}`}`,
    );
  words.push(`16-bit codes: ${errors.join(", ")}; exact values are in the file`);
  if (sources[1] && !strands().some((strand) => strand.other || strand.parts.length > 1))
    words.push(`nothing in the other traces matches by example and time`);
  if (state.spread === "mean" && state.seeds.length > 1) words.push("bands: least and greatest over seeds");
  return words.join(" · ");
}

function sidebar() {
  at("score").textContent = fillSidebar(at("list"), sources[0], state, pick);
}

function buttons() {
  at("sources").replaceChildren(
    ...sources.map((source) => {
      const button = Object.assign(document.createElement("button"), {
        textContent: source.name,
        title: `${source.title}: about it`,
      });
      button.onclick = () => show(sourceText(source));
      return button;
    }),
  );
  at("compare").hidden = sources.length < 2;
  at("seeds").hidden = sources[0].seeds.length < 2;
  at("seeds").replaceChildren(
    ...sources[0].seeds.map((seed, run) => {
      const button = Object.assign(document.createElement("button"), {textContent: `seed ${seed}`});
      button.dataset.run = run;
      button.onclick = () => {
        const seeds = state.seeds.includes(run)
          ? state.seeds.filter((other) => other !== run)
          : [...state.seeds, run].sort((a, b) => a - b);
        change({seeds: seeds.length ? seeds : [run]});
        sidebar();
      };
      return button;
    }),
  );
  for (const button of document.querySelectorAll("[data-set]"))
    button.onclick = () => set(button.dataset.set, button.dataset.value);
  at("fit").onchange = () => change({fit: at("fit").checked});
  at("misses").onchange = () => {
    change({misses: at("misses").checked});
    sidebar();
  };
  at("theme").onclick = () => change({theme: themeOf(state) === "dark" ? "light" : "dark"});
  at("help").onclick = () => show(helpText());
  at("in").onclick = () => zoom(1 / 1.6);
  at("out").onclick = () => zoom(1.6);
  at("one").onclick = one;
  at("all").onclick = () => moved(...ends());
  const name = () =>
    sources.map((source) => source.name.replace(/\.\w+$/, "")).join("-") +
    `-${state.panels.map((panel) => panel.name).join("-")}`;
  const size = () => [at("figure").clientWidth, at("figure").clientHeight];
  at("png").onclick = () => savePng(scene(), ...size(), name());
  at("svg").onclick = () => saveSvg(scene(), ...size(), name());
  at("csv").onclick = () => saveCsv(scene(), name());
  at("link").onclick = async () => {
    history.replaceState(null, "", toHash(state));
    await navigator.clipboard?.writeText(location.href).catch(() => {});
    at("note").textContent = "the address of this view is in the clipboard, and above";
  };
}

function set(name, value) {
  const axis = name === "axis" && value !== state.axis;
  change({[name]: value});
  if (axis) {
    if (value === "onset") moved(...ends());
    else one();
  }
}

function zoom(factor, middle = (state.from + state.to) / 2) {
  moved(middle - (middle - state.from) * factor, middle + (state.to - middle) * factor);
}
Object.assign(page, {zoom, one, set, all: () => moved(...ends()), help: () => show(helpText())});

function show(parts) {
  at("about-text").replaceChildren(...parts);
  at("about-box").showModal();
}

async function start() {
  await Promise.all(sources.map((source) => source.open()));
  document.title = `${sources.map(({name}) => name).join(", ")} · ghostnet`;
  state = fromHash(location.hash, initial(sources[0]), sources[0]);
  buttons();
  sidebar();
  need();
  refresh();
  listen(at("figure"), page);
  addEventListener("resize", refresh);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
  addEventListener("hashchange", () => {
    state = fromHash(location.hash, state, sources[0]);
    need();
    refresh();
    sidebar();
  });
}

start().catch((error) => {
  at("note").textContent = `this page can't be shown: ${error.message}; it needs a browser of 2023 or newer`;
  throw error;
});
