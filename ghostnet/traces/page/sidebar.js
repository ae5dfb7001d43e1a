// The presentations at the left, grouped by class, with what the network said.

import {missed} from "./records.js";

const MANY = 300; // buttons of a class at once

/** Fill `list` with a group for every class; pick(p, place, event) is called with what is clicked. */
export function fillSidebar(list, source, state, pick) {
  const classes = new Map(),
    run = state.seeds[0];
  let wrong = 0,
    known = 0;
  source.presentations.forEach((one, p) =>
    one.label[run].forEach((label, place) => {
      const miss = missed(one, run, place);
      known += miss !== null;
      wrong += miss === true;
      if (state.misses && !miss) return;
      if (!classes.has(label)) classes.set(label, []);
      classes.get(label).push([p, place, miss]);
    }),
  );
  const groups = [...classes]
    .sort(([a], [b]) => a - b)
    .map(([label, items]) => groupOf(label, items, source, state, pick));
  list.replaceChildren(...groups);
  if (!groups.length) list.append(Object.assign(document.createElement("p"), {textContent: "nothing of that kind"}));
  mark(list, state);
  return known ? `(${wrong} of ${known})` : "no outputs recorded";
}

function groupOf(label, items, source, state, pick) {
  const group = document.createElement("details"),
    summary = document.createElement("summary");
  const wrong = items.filter(([, , miss]) => miss).length;
  summary.append(`class ${label} `, small(`${items.length}${wrong ? `, ${wrong} missed` : ""}`));
  group.append(summary);
  let shown = 0;
  const more = () => {
    const some = items.slice(shown, shown + MANY);
    shown += some.length;
    group.append(...some.map((item) => button(item, source, state.seeds, pick)));
    if (shown < items.length) {
      const next = Object.assign(document.createElement("button"), {
        className: "more",
        textContent: `${items.length - shown} more`,
      });
      next.onclick = () => {
        next.remove();
        more();
      };
      group.append(next);
    }
  };
  group.addEventListener("toggle", () => {
    if (group.open && !shown) more();
  });
  group.open =
    source.presentations.length * source.places.length <= 60 ||
    items.some(([p, b]) => p === state.p && b === state.place);
  if (group.open) more();
  return group;
}

function button([p, place, miss], source, seeds, pick) {
  const one = source.presentations[p],
    found = document.createElement("button");
  const lane = source.places.length > 1 ? `.${source.places[place]}` : "";
  const answers = [...new Set(seeds.map((run) => one.said?.[run][place] ?? -1))].filter((said) => said >= 0);
  found.className = miss ? "item miss" : "item";
  found.dataset.item = `${p}.${place}`;
  found.append(`#${one.n}${lane}`, answers.length ? small(` said ${answers.join(", ")}${miss ? " ✗" : ""}`) : "");
  found.title = `presentation ${one.n}, epoch ${one.epoch}, example ${one.index[seeds[0]][place]}. Shift or Ctrl: beside what is chosen`;
  found.onclick = (event) => pick(p, place, event.shiftKey || event.ctrlKey || event.metaKey);
  return found;
}

function small(words) {
  return Object.assign(document.createElement("small"), {textContent: words});
}

/** Show which are chosen. */
export function mark(list, state) {
  const chosen = new Set([[state.p, state.place], ...state.also].map((item) => item.join(".")));
  for (const item of list.querySelectorAll(".item")) item.classList.toggle("chosen", chosen.has(item.dataset.item));
  const first = list.querySelector(`[data-item="${state.p}.${state.place}"]`);
  first?.scrollIntoView({block: "nearest"});
}
