// The controls above each panel and the heat map: variable, units, scale.

import {panelOf, spans, unitsOf} from "./state.js";
import {symbolText} from "./scales.js";

export function fillControls(place, page) {
  if (place.contains(document.activeElement) && document.activeElement.type === "text") return; // being typed in
  place.replaceChildren(...page.state.panels.map((panel, i) => panelControls(page, panel, i)), heatControls(page));
}

/** Put them where the figure has room for them. */
export function placeControls(place, layout) {
  [...layout.panels, layout.heat].forEach(({header}, i) => {
    Object.assign(place.children[i].style, {left: `${layout.left}px`, top: `${header + 2}px`});
  });
}

function panelControls(page, panel, i) {
  const {sources, state, change} = page,
    [source] = sources,
    row = make("div", {}),
    {panels} = state;
  const replaced = (next) => change({panels: panels.map((other, j) => (j === i ? next : other))});
  row.append(select(source, panel.name, (name) => replaced(panelOf(source, name))));
  const {units, axis} = source.variables[panel.name];
  if (axis) {
    const typed = make("input", {
      type: "text",
      value: spans(panel.units),
      title: `units, such as 0-4, 7, or all; recorded: ${spans(units)}`,
    });
    typed.ariaLabel = `units of ${panel.name}`;
    typed.onchange = () => {
      typed.blur();
      replaced({...panel, units: unitsOf(typed.value, units)});
    };
    row.append("units ", typed);
  }
  row.append(checkbox("log", panel.log, (log) => replaced({...panel, log})));
  if (panels.length > 1)
    row.append(button("×", "leave this panel out", () => change({panels: panels.filter((_, j) => j !== i)})));
  row.append(
    button("+", "another panel below", () =>
      change({panels: [...panels.slice(0, i + 1), structuredClone(panel), ...panels.slice(i + 1)]}),
    ),
  );
  return row;
}

function heatControls({sources, state, change}) {
  const row = make("div", {}),
    [source] = sources;
  row.append(
    "all units of ",
    select(source, state.heat, (heat) => change({heat})),
  );
  const by = make("select", {ariaLabel: "order of units"});
  for (const [value, words] of [
    ["unit", "by number"],
    ["size", "by size in view"],
  ]) {
    by.append(make("option", {value, textContent: words, selected: state.order === value}));
  }
  by.onchange = () => change({order: by.value});
  row.append(by, make("small", {textContent: "a click on a row shows its line"}));
  return row;
}

function select(source, chosen, then) {
  const found = make("select", {ariaLabel: "variable"});
  for (const [name, {about}] of Object.entries(source.variables)) {
    found.append(
      make("option", {value: name, textContent: `${symbolText(name)}: ${about}`, selected: name === chosen}),
    );
  }
  found.onchange = () => then(found.value);
  return found;
}

function checkbox(words, checked, then) {
  const label = make("label", {}),
    box = make("input", {type: "checkbox", checked});
  box.onchange = () => then(box.checked);
  label.append(box, ` ${words}`);
  return label;
}

function button(words, title, then) {
  return make("button", {textContent: words, title, onclick: then});
}

function make(kind, properties) {
  return Object.assign(document.createElement(kind), properties);
}
