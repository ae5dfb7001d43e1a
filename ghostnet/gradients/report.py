"""What a gradient check found: rows to compute with, text to read, CSV to keep, a sentence to remember."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass, field

import numpy as np

from ghostnet.errors import ConfigError
from ghostnet.gradients.settling import RESIDUAL
from ghostnet.model.experiment import Experiment

_LETTERS = {"free phase": "a", "clamped phase": "c", "finite beta": "b", "ghost circuit": "d", "feedback": "e"}
_BLAME = {
    "free phase": "the unfinished free phase",
    "clamped phase": "the unfinished clamped phase",
    "finite beta": "the finite nudge",
    "ghost circuit": "the ghost circuit's own reaction to the nudge",
    "feedback": "the misalignment of B with the transpose of W",
    "unexplained": "none of the causes looked for",
}


@dataclass
class GradientReport:
    """Rows are dicts that begin with run and seed; layer is 1 … N or "all".

    Attributes:
        experiment: the settings the check was made with. examples: how many. subject: what learns, such as MB TF.
        figures: quantity ("update" of W_k, or "error" e_k / β), against ("backprop" or "feedback alignment"), layer,
            over ("summed", "mean", "median"), and the FIGURES of `ghostnet.gradients.likeness`.
        causes: layer, over ("summed", "mean"), cause, part, size; see `ghostnet.gradients.likeness.divided`.
        residuals: layer, and the mean over examples of ‖τ ds_k/dt‖ (free_drift, clamped_drift) and ‖e_k‖ (free_error,
            clamped_error) at the ends of the phases.
        alignment: FA only: layer k, cosine and angle between B_k and W_{k+1}^T; of baselines with direct feedback,
            between B_k and (W_N … W_{k+1})^T.
        direct: whether feedback is.
        settling: phase, slowest, stable_dt, steps; see `ghostnet.gradients.settling.Settling`.
        courses: per run, how far e_k / β is from its target at every step of the clamped phase, (steps + 1, N).
        no_causes: {run: why its causes could not be told apart}; empty where they could.
        autograd_difference: largest relative difference between our backward pass and torch's; None: not asked for.
    """

    experiment: Experiment
    examples: int
    subject: str
    figures: list[dict] = field(default_factory=list)
    causes: list[dict] = field(default_factory=list)
    residuals: list[dict] = field(default_factory=list)
    alignment: list[dict] = field(default_factory=list)
    settling: list[dict] = field(default_factory=list)
    courses: list[np.ndarray] = field(default_factory=list)
    no_causes: dict[int, str] = field(default_factory=dict)
    autograd_difference: float | None = None
    direct: bool = False

    def find(
        self, layer: int | str = "all", quantity: str = "update", over: str = "summed", against: str = "backprop",
        run: int = 0,
    ) -> dict:  # fmt: skip
        """The one row of `figures`.

        Raises:
            ConfigError: there is none.
        """
        wanted = {"layer": layer, "quantity": quantity, "over": over, "against": against, "run": run}
        for row in self.figures:
            if all(row[name] == value for name, value in wanted.items()):
                return row
        raise ConfigError(f"the report has no row {wanted}: see report.figures")

    def parts(self, layer: int | str = "all", over: str = "summed", run: int = 0) -> dict[str, tuple[float, float]]:
        """{cause: (part, size)}, relative to the norm of backprop's gradient."""
        wanted = (layer, over, run)
        return {r["cause"]: (r["part"], r["size"]) for r in self.causes if (r["layer"], r["over"], r["run"]) == wanted}

    def verdict(self, run: int = 0) -> str:
        """One sentence: how far off all layers together are, what dominates, which setting would lower it."""
        total = self.find(run=run)
        if math.isnan(total["relative_error"]):
            return "backprop's gradient is 0 on these examples (outputs are saturated, or right): nothing to compare."
        text = f"the update of all layers is {total['relative_error']:.1%} ({total['angle']:.1f}°) off backprop"
        parts = self.parts(run=run)
        if not parts:
            return f"{text}{f'; {self.no_causes[run]}' if run in self.no_causes else ''}."
        cause = max(parts, key=lambda name: parts[name][0])
        blame = _BLAME[cause]
        if cause == "free phase" and not self.experiment.plasticity.owned:
            blame = "feedback that the ghosts leave uncancelled in the free phase"
        return f"{text}, mostly from {blame} ({parts[cause][0]:.1%}): {self._remedy(cause, run)}."

    def _remedy(self, cause: str, run: int) -> str:
        e = self.experiment
        for row in self.settling:
            if row["run"] == run and cause == f"{row['phase']} phase" and not row["stable_dt"] > e.dt:
                return f"it does not settle at dt = {e.dt:g}, take a smaller dt or init"
        fast = e.plasticity.owned
        learning_ghosts = "the ghosts have yet to learn their partners: train on, or raise eta_ghost"
        return {
            "free phase": f"free_steps above {e.free_steps} would lower it" if fast else learning_ghosts,
            "clamped phase": f"clamped_steps above {e.clamped_steps} would lower it",
            "finite beta": f"a beta below {e.beta:g} would lower it",
            "ghost circuit": "smaller feedback weights (init, eta) or more ghosts would lower it"
            if fast else learning_ghosts,
            "feedback": "feedback = TF would remove it, and training lowers it",
            "unexplained": "look at the residuals",
        }[cause]  # fmt: skip

    def text(self, run: int = 0) -> str:
        """Everything about one run, in plain columns of at most 100 characters."""
        e = self.experiment
        head = f"{self.subject} {'-'.join(map(str, e.sizes))}, seed {e.seeds[run]}, {self.examples} examples"
        sections = [head]
        for quantity, what in (("update", "update of W_k"), ("error", "e_k / β")):
            for against in dict.fromkeys(row["against"] for row in self.figures if row["quantity"] == quantity):
                sections.append(self._figures_text(run, quantity, against, f"{what} against {against}"))
        if any(math.isnan(row["angle"]) for row in self.figures if row["run"] == run):
            sections.append("-: nothing to compare, as one of the two is 0")
        sections += [self._causes_text(run), self._alignment_text(run), self._residuals_text(run)]
        sections += [self._settling_text(run)]
        if self.autograd_difference is not None:
            sections.append(f"our backward pass against torch's autograd: {self.autograd_difference:.1e}")
        verdict = self.verdict(run)
        return "\n\n".join([*filter(None, sections), verdict[0].upper() + verdict[1:]])

    def _layers(self) -> list:
        return [*range(1, self.experiment.depth + 1), "all"]

    def _figures_text(self, run: int, quantity: str, against: str, title: str) -> str:
        lines = [
            f"{title:<42}relative error           over the sum of the examples",
            f"{'layer':<10}{'summed':>10}{'mean':>10}{'median':>10}{'cosine':>14}{'angle':>9}{'norm':>9}{'signs':>9}",
        ]
        for layer in self._layers():
            rows = [self.find(layer, quantity, over, against, run) for over in ("summed", "mean", "median")]
            errors = "".join(_percent(row["relative_error"], 10) for row in rows)
            one = rows[0]
            lines.append(
                f"{layer!s:<10}{errors}{_number(one['cosine'], 14, '.5f')}{_number(one['angle'], 9, '.2f', '°')}"
                f"{_number(one['norm_ratio'], 9, '.4f')}{_percent(one['sign_agreement'], 9)}"
            )
        return "\n".join(lines)

    def _causes_text(self, run: int) -> str:
        if run in self.no_causes or not self.causes:
            return f"causes: not told apart: {self.no_causes[run]}" if run in self.no_causes else ""
        layers = self._layers()
        by_layer = {layer: self.parts(layer, run=run) for layer in layers}
        lines = ["causes of the summed update's relative error: signed part, which add up, and (size)"]
        lines += [f"{'':<22}" + "".join(f"{f'layer {k}' if k != 'all' else 'all':>19}" for k in layers)]
        for cause in by_layer["all"]:
            name = f"({_LETTERS[cause]}) {cause}" if cause in _LETTERS else f"    {cause}"
            cells = (
                f"{_percent(part, 9)} ({_percent(size, 7)})" for part, size in (p[cause] for p in by_layer.values())
            )
            lines.append(f"{name:<22}" + "".join(f"{cell:>19}" for cell in cells))
        totals = (_percent(sum(part for part, _ in p.values()), 9) + " " * 10 for p in by_layer.values())
        return "\n".join([*lines, f"{'    together':<22}" + "".join(f"{cell:>19}" for cell in totals)])

    def _alignment_text(self, run: int) -> str:
        rows = [row for row in self.alignment if row["run"] == run]
        return "\n".join(
            f"B_{k} with the transpose of {self._path(k)}: {_number(r['angle'], 0, '.1f', '°')}, "
            f"cosine {_number(r['cosine'], 0, '.4f')}"
            for r in rows
            for k in [r["layer"]]
        )

    def _path(self, k: int) -> str:
        """What backprop takes the error down by, where layer k takes B_k."""
        direct = self.direct and k + 1 < self.experiment.depth
        return f"W_{self.experiment.depth} … W_{k + 1}" if direct else f"W_{k + 1}"

    def _residuals_text(self, run: int) -> str:
        if not self.residuals:
            return ""
        lines = [f"{'at the end of':<14}{'free phase':>24}{'clamped phase':>28}"]
        lines += [f"{'layer':<14}{'‖τ ds/dt‖':>12}{'‖e‖':>12}{'‖τ ds/dt‖':>16}{'‖e‖':>12}"]
        lines += [
            f"{r['layer']:<14}{r['free_drift']:>12.2e}{r['free_error']:>12.2e}"
            f"{r['clamped_drift']:>16.2e}{r['clamped_error']:>12.2e}"
            for r in self.residuals
            if r["run"] == run
        ]
        return "\n".join(lines)

    def _settling_text(self, run: int) -> str:
        lines = [self._settling_line(row) for row in self.settling if row["run"] == run]
        return "\n".join(lines)

    def _settling_line(self, row: dict) -> str:
        e, phase = self.experiment, row["phase"]
        if math.isinf(row["slowest"]):
            return f"{phase} phase: its fixed point is not stable"
        steps = f"{row['steps']} steps" if math.isfinite(row["steps"]) else "no number of steps"
        return (
            f"{phase} phase: slowest time constant {1e3 * row['slowest']:.3g} ms, largest stable dt "
            f"{1e3 * row['stable_dt']:.3g} ms (dt {1e3 * e.dt:g} ms); {steps} leave {RESIDUAL:.1%} "
            f"(has {dict(zip((p.name for p in e.phases), e.steps, strict=True))[phase]})"
        )

    def csv(self) -> str:
        """Everything but the courses as one long table, a value per row."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        columns = ("run", "seed", "layer", "quantity", "against", "over", "cause", "phase")
        writer.writerow(("table", *columns, "name", "value"))
        for table in ("figures", "causes", "residuals", "alignment", "settling"):
            for row in getattr(self, table):
                keys = [row.get(column, "") for column in columns]
                writer.writerows([table, *keys, name, value] for name, value in row.items() if name not in columns)
        return text.getvalue()


def _percent(value: float, width: int) -> str:
    return _number(100 * value, width, ".2f", " %")


def _number(value: float, width: int, form: str, unit: str = "") -> str:
    """As text; "-" where there is none, because what it is compared with is 0."""
    return f"{f'{value:{form}}{unit}' if math.isfinite(value) else '-':>{width}}"
