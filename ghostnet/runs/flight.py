"""The flight recorder: the last steps before a divergence, and the first after it.

An engine that meets a divergence is left as it was before that presentation, and presentations are deterministic. So
nothing is recorded while all goes well: the presentation is shown once more to a copy of the network, step by step.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from ghostnet import engines
from ghostnet.engines import Engine
from ghostnet.errors import DivergenceError, FileError
from ghostnet.model.recorder import Recorder, Shown
from ghostnet.simulator import Simulator
from ghostnet.traces.files import TraceFiles
from ghostnet.traces.recording import Recording, Segment

LAST_STEPS = 1000  # at most, and no more than fit into a segment
STEPS_AFTER = 5


def write(
    simulator: Simulator, x: np.ndarray, y: np.ndarray, error: DivergenceError, path: Path, shown: Shown | None = None
) -> str:
    """Record the end of the presentation that diverged to `path`, in all variables, for the run that it happened in.

    Args:
        simulator: as the divergence left it. x (runs, batch, n_0), y (runs, batch, n_N): what it was shown.
        shown: as for `Simulator.recording`.

    Returns:
        Where the file is, for the error's text; that it can't be written is only logged.
    """
    if error.divergence is None:
        return ""
    run, presentation = error.divergence.run, simulator.presentations
    e = simulator.experiments[run]
    with np.errstate(all="ignore"):
        explosion = _explosion(_stepping(simulator), x, y)
        recorder = Recorder(("s", "r", "g", "e"), runs=[run])
        rows = min(LAST_STEPS, Segment(recorder.select(e), simulator.dtype).capacity)
        last = min(explosion + STEPS_AFTER, sum(e.steps))
        about = simulator.settings | {"divergence": str(error), "explosion_step": explosion}
        try:
            path.parent.mkdir(exist_ok=True)
            files = TraceFiles(path, e, about)
            recording = Recording(recorder, e, simulator.dtype, files.keep, shown, capacity=rows)
            recording.replay(_stepping(simulator), x, y, presentation, range(max(0, last - rows), last))
            recording.close()
            files.close()
        except (OSError, FileError) as failure:
            logging.warning("the steps before the divergence are not recorded: %s", failure)
            return ""
    return f"; its last steps are in {path}"


def _stepping(simulator: Simulator) -> Engine:
    """An engine with the same settings, if that has a time course, and a copy of the network."""
    return engines.create(network=simulator.network, **engines.stepping(simulator.settings))


def _explosion(engine: Engine, x: np.ndarray, y: np.ndarray) -> int:
    """The step after which an activity is beyond bounds; the last one where stepping does not diverge."""
    steps = engine.experiment.steps
    engine.begin(x, y)
    for step, phase in enumerate(np.repeat(np.arange(len(steps)), steps).tolist(), start=1):
        engine.advance(phase, 1)
        if engine.divergence():
            return step
    return sum(steps)
