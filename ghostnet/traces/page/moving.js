// Mouse and keyboard: zoom, pan, read out, click a row, go to the next presentation.

import {panelOf} from "./state.js";

const CLICK = 4; // pixels that a click may move

/** Listen to what happens in the figure, and to keys wherever nothing is typed. */
export function listen(figure, page) {
  let held = null;
  const pointOf = (event) => {
    const box = figure.getBoundingClientRect();
    return {x: event.clientX - box.left, y: event.clientY - box.top};
  };
  const {zoom, moved, cursor} = page;
  figure.addEventListener(
    "wheel",
    (event) => {
      const {time} = page.drawn,
        {state} = page,
        point = pointOf(event);
      event.preventDefault();
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        const by = time.invert(point.x + event.deltaX) - time.invert(point.x);
        moved(state.from + by, state.to + by);
      } else zoom(1.0015 ** event.deltaY, time.invert(point.x));
    },
    {passive: false},
  );
  figure.addEventListener("pointerdown", (event) => {
    if (event.button || event.target.id !== "plot") return;
    const {from, to} = page.state;
    held = {...pointOf(event), from, to, time: page.drawn.time, moved: false};
    figure.setPointerCapture(event.pointerId);
    figure.focus({preventScroll: true});
  });
  figure.addEventListener("pointermove", (event) => {
    const point = pointOf(event);
    if (held && (held.moved || Math.abs(point.x - held.x) > CLICK)) {
      held.moved = true;
      const by = held.time.invert(held.x) - held.time.invert(point.x);
      moved(held.from + by, held.to + by);
    }
    cursor(point);
  });
  figure.addEventListener("pointerup", (event) => {
    if (held && !held.moved) click(page, pointOf(event));
    held = null;
  });
  figure.addEventListener("pointerleave", () => cursor(null));
  figure.addEventListener("dblclick", (event) => {
    if (event.target.id === "plot") page.all();
  });
  addEventListener("keydown", (event) => key(page, event));
}

/** A row of the heat map: its line is shown, or hidden; a presentation above: it is chosen. */
function click(page, point) {
  const unit = page.cursor(point),
    {state, sources} = page,
    [source] = sources;
  if (unit !== null) {
    const at = state.panels.findIndex(({name}) => name === state.heat);
    const before = at < 0 ? {...panelOf(source, state.heat), units: []} : state.panels[at];
    const units = before.units.includes(unit)
      ? before.units.filter((other) => other !== unit)
      : [...before.units, unit];
    const panels =
      at < 0
        ? [...state.panels, {...before, units}]
        : state.panels.map((panel, i) => (i === at ? {...panel, units} : panel));
    page.change({panels});
  } else if (point.y < page.layout.panels[0]?.header && state.axis === "model") {
    const time = page.drawn.time.invert(point.x),
      row = source.ends.findIndex((end) => end >= time);
    if (row >= 0) page.pick(source.presentationOf[row], state.place);
  }
}

function key(page, event) {
  const {state, sources} = page;
  if (event.target.matches("input[type=text], select, dialog *") || event.ctrlKey || event.metaKey || event.altKey)
    return;
  const does = {
    ArrowRight: () => next(page, 1),
    ArrowLeft: () => next(page, -1),
    ArrowUp: () => page.zoom(1 / 1.6),
    ArrowDown: () => page.zoom(1.6),
    "+": () => page.zoom(1 / 1.6),
    "=": () => page.zoom(1 / 1.6),
    "-": () => page.zoom(1.6),
    0: page.all,
    f: page.one,
    t: () => page.set("axis", state.axis === "model" ? "onset" : "model"),
    "?": page.help,
    d: () => {
      if (sources.length > 1) page.set("compare", state.compare === "over" ? "difference" : "over");
    },
    l: () => page.change({panels: state.panels.map((panel) => ({...panel, log: !panel.log}))}),
  }[event.key];
  if (!does) return;
  event.preventDefault();
  does();
}

/** The next presentation at the same place of the batch, or the one before; where there is only one, the next place. */
function next({state, sources: [source], pick}, by) {
  const count = source.presentations.length;
  if (count > 1) pick((state.p + by + count) % count, state.place);
  else pick(0, (state.place + by + source.places.length) % source.places.length);
}
