"""A network on an engine: presentations in, the network as it is now out."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ghostnet import data, engines
from ghostnet.engines.evaluation import Score, evaluate, scored_parts
from ghostnet.errors import ConfigError, DivergenceError
from ghostnet.host.cpus import available_cpus
from ghostnet.host.threads import Turns
from ghostnet.model.experiment import Experiment
from ghostnet.model.inputs import numbers, rates, require_fit
from ghostnet.model.network import Network
from ghostnet.model.recorder import Recorder, Shown, Units

if TYPE_CHECKING:
    import xarray as xr

    from ghostnet.traces.files import TraceFiles
    from ghostnet.traces.recording import Recording

_CHUNK_BYTES = 1 << 22  # of images made from examples: more would leave the cache


class Simulator:
    """Steps a network through presentations.

    Calls from several threads take turns. A copy (`copy.deepcopy`, pickle) is another simulator of the network as it is
    now, on an engine with the same settings; it is not recorded. In a forked process it goes on by itself, a GPU not.

    Args:
        network: where to start from; it is copied, not changed.
        engine: "cpu" (compiled, the default), "equilibrium" (MB without stepping), "torch" (all runs at once, on a GPU
            if asked) or "reference" (NumPy, float64).
        dtype: "float32" or "float64"; by default the engine's usual one.
        threads: at most so many; by default the CPUs this process may use. The cpu engine divides the runs among them,
            and a run of a wide network with a batch (`ghostnet doctor` shows which). Results do not depend on it.
        options: of the engine, as keywords; "equilibrium" takes settle_tol and max_sweeps, "torch" takes device
            ("cpu" or "cuda"), fast_matmul and per_run.

    Raises:
        ConfigError: unknown engine, dtype or option, an engine that can't run this experiment, a network that is not
            one of its experiment, or too little memory.

    Examples:
        >>> sim.present(x, y)
        >>> sim.presentations
        1
    """

    def __init__(
        self,
        network: Network,
        engine: str = "cpu",
        dtype: str | None = None,
        threads: int | None = None,
        **options: Any,
    ):
        dtype = engines.usual_dtype(engine) if dtype is None else str(dtype)
        threads = available_cpus() if threads is None else threads
        given = {"engine": engine, "dtype": dtype, "threads": threads, **options}
        self.settings = {name: v.item() if isinstance(v, np.generic) else v for name, v in given.items()}
        self._engine: engines.Engine = engines.create(network=network, **self.settings)
        self._turns = Turns()
        self._recording: Recording | None = None
        self.experiment, self.presentations = network.experiment, network.presentations
        own = options.get("per_run") or {}
        self.experiments = engines.run_experiments(self.experiment, own)
        if own:  # as JSON can have it
            self.settings["per_run"] = {name: [getattr(e, name) for e in self.experiments] for name in own}
        self.dtype = np.dtype(dtype)

    def __reduce__(self) -> tuple:
        return functools.partial(type(self), **self.settings), (self.network,)

    def present(self, x: np.ndarray, y: np.ndarray) -> None:
        """One presentation: free phase, clamped phase, plasticity.

        Args:
            x: input, (batch, n_0) for all runs or (runs, batch, n_0), in the range of the transfer function's rates
                (the sigmoid's: [0, 1]); in [0, 1] where the model clips.
            y: target, (batch, n_N) or (runs, batch, n_N), in the range of the rates.

        Raises:
            ConfigError: x or y does not fit the experiment, or is out of range.
            DivergenceError: an activity became non-finite or exploded.

        Examples:
            >>> before = sim.network.weights.W[2]
            >>> sim.present(x, y)
            >>> bool(np.any(sim.network.weights.W[2] != before))
            True
        """
        x, y = self._fit("x", x, 0, many=False), self._fit("y", y, -1, many=False)
        self._run(x[None], y[None])

    def run(self, xs: np.ndarray, ys: np.ndarray) -> None:
        """Many presentations in turn.

        Args:
            xs: inputs, (presentations, batch, n_0) for all runs or (presentations, runs, batch, n_0), as in `present`.
            ys: targets, likewise with n_N.

        Raises:
            ConfigError: xs or ys does not fit the experiment, or is out of range.
            DivergenceError: an activity became non-finite or exploded; the network is left as it was before that
                presentation, and `presentations` counts those before it.

        Examples:
            >>> sim.run(xs, ys)
            >>> sim.presentations
            3
        """
        xs, ys = self._fit("x", xs, 0, many=True), self._fit("y", ys, -1, many=True)
        if len(xs) != len(ys):
            raise ConfigError(f"x has {len(xs)} presentations, y {len(ys)}: expected as many of each")
        self._run(xs, ys)

    def _run(self, xs: np.ndarray, ys: np.ndarray) -> None:
        with self._turns:
            if self._recording:
                divergence = self._recording.present(self._engine, xs, ys, self.presentations)
            else:
                divergence = self._engine.present(xs, ys)
            self._count(len(xs), divergence)

    def run_examples(self, dataset: data.Dataset, order: np.ndarray) -> None:
        """`run` on training examples of a data set. The torch engine keeps the data set on its device.

        Args:
            order: indices into dataset.train_images, (presentations, runs, batch).

        Raises:
            ConfigError: the data set or the order does not fit the experiment. DivergenceError: as from `run`.

        Examples:
            >>> sim.run_examples(data, np.array([[[2]], [[0]]]))  # the third image, then the first
        """
        e = self.experiment
        require_fit(e, dataset)
        order, count = numbers("order", order), len(dataset.train_images)
        if order.shape[1:] != (len(e.seeds), e.batch):
            raise ConfigError(f"order has shape {order.shape}: expected (presentations, {len(e.seeds)}, {e.batch})")
        if order.dtype.kind not in "iu" or np.any((order < 0) | (order >= count)):
            raise ConfigError(f"order: expected indices from 0 to {count - 1}: {dataset.name} has {count} examples")
        with self._turns:
            if isinstance(self._engine, engines.HoldsData) and not self._recording:
                self._count(len(order), self._engine.present_examples(dataset, order))
                return
            most = max(1, _CHUNK_BYTES // (len(e.seeds) * e.batch * e.sizes[0] * self.dtype.itemsize))
            for start in range(0, len(order), most):
                some = order[start : start + most]
                x = data.scale(dataset.train_images[some], self.dtype)
                self._run(x, data.one_hot(dataset.train_labels[some], dataset.classes, self.dtype))

    def evaluate(self, dataset: data.Dataset) -> dict[str, Score]:
        """How well the network as it is now classifies: scores of the feedforward graph on {"train": …, "test": …}.

        The training part is the first `train_examples`, or all.

        Raises:
            ConfigError: the data set does not fit the experiment.

        Examples:
            >>> sim.evaluate(data)["test"].accuracy.shape  # of each run
            (1,)
        """
        e = self.experiment
        require_fit(e, dataset)
        with self._turns:
            if isinstance(self._engine, engines.HoldsData):
                return self._engine.evaluate(dataset)
            weights, _ = self._engine.export()
        parts = scored_parts(dataset.part("train"), dataset.part("test"), e.train_examples)
        how = e.transfer, self.dtype, self.settings["threads"]
        return {name: evaluate(weights, x, labels, *how) for name, (x, labels) in parts.items()}

    def _count(self, shown: int, divergence: engines.Divergence | None) -> None:
        if divergence is None:
            self.presentations += shown
            return
        self.presentations += divergence.presentation
        raise _divergence_error(self.experiments[divergence.run], divergence, self.presentations)

    @contextlib.contextmanager
    def recording(
        self, recorder: Recorder, path: str | os.PathLike, shown: Shown | None = None, learn: bool = True
    ) -> Iterator[TraceFiles]:
        """Record to trace files what is presented in the body of `with`: see `Recorder` and `open_trace`.

        Args:
            path: the first file; a long record continues beside it, `t.h5`, `t-0002.h5`, …
            shown: presentation -> (epoch, dataset indices (runs, batch)), for the record.
            learn: if not, each presentation starts from the network as it is now and leaves no trace in it.

        Raises:
            ConfigError: the recorder does not fit. FileError: a file can't be written.

        Examples:
            >>> with sim.recording(gn.Recorder(("s", "e_1"), every=10), "t.h5"):
            ...     sim.run(xs, ys)
            >>> gn.open_trace("t.h5").sizes["time"]
            42
        """
        from ghostnet.traces.files import TraceFiles
        from ghostnet.traces.recording import Recording

        e = self._timed(recorder)
        files = TraceFiles(path, e, self.settings)
        with contextlib.closing(files), self._recorded(Recording(recorder, e, self.dtype, files.keep, shown, learn)):
            yield files

    def record(
        self, x: np.ndarray, y: np.ndarray, variables: Sequence[str] = ("s", "e"), units: Units = None, every: int = 1,
        learn: bool = True, **more: Any,
    ) -> xr.Dataset:  # fmt: skip
        """`present`, recorded.

        Args:
            x: as for `present`.
            y: as for `present`.
            variables: this, units, every and more: see `Recorder`.
            learn: if not, the network is afterwards as it was before: what the presentation changed is given up.

        Returns:
            Rows along `time` (model time in s), variables such as s_1 (time, run, example, unit_1).

        Examples:
            >>> sim.record(x, y, variables=("e",), every=20).e_1.shape
            (7, 1, 1, 3)
        """
        from ghostnet.traces.contents import contents
        from ghostnet.traces.reading import dataset
        from ghostnet.traces.recording import Recording

        recorder = Recorder(variables, units, every, **more)
        e, parts = self._timed(recorder), []
        keep = lambda segment: parts.append(contents(segment))  # noqa: E731
        recording = Recording(recorder, e, self.dtype, keep, None, learn, recorder.rows(e))
        with self._turns, self._recorded(recording):
            self.present(x, y)
        return dataset(parts, {"config_toml": e.to_toml()})

    def _timed(self, recorder: Recorder) -> Experiment:
        """The experiment with the time step of the runs that are recorded."""
        steps = {self.experiments[run].dt for run in recorder.select(self.experiment).runs}
        if len(steps) > 1:
            text = "no time axis in common; record some of them"
            raise ConfigError(f"runs: those to be recorded have dt = {sorted(steps)}, so {text}")
        return self.experiment.replace(dt=steps.pop())

    @contextlib.contextmanager
    def _recorded(self, recording: Recording) -> Iterator[None]:
        if self.settings["engine"] == "equilibrium":
            raise ConfigError("engine = equilibrium: it has no time course to record; take the cpu engine")
        with self._turns:
            if self._recording:
                raise ConfigError("recording: this simulator is being recorded already; declare all in one Recorder")
            self._recording, before = recording, self.presentations
        try:
            yield
        finally:
            with self._turns:
                self._recording = None
                self.presentations = self.presentations if recording.learn else before
                recording.close()

    @property
    def network(self) -> Network:
        """A copy of the network as it is now, float64 arrays."""
        with self._turns:
            weights, state = self._engine.export()
            return Network(self.experiment, weights, state, self.presentations)

    def _fit(self, name: str, given: ArrayLike, layer: int, many: bool) -> np.ndarray:
        """The rates of a layer, ([presentations,] runs, batch, units), a view where the runs share them."""
        e, leading = self.experiment, ("presentations",) * many
        own = (e.batch, e.sizes[layer])
        values = rates(name, given, e, layer, (*leading, *own), (*leading, len(e.seeds), *own))
        if values.ndim == len(leading) + 2:
            values = np.broadcast_to(values[..., None, :, :], (*values.shape[:-2], len(e.seeds), *own))
        return values


def _divergence_error(e: Experiment, divergence: engines.Divergence, presentation: int) -> DivergenceError:
    where = f"seed {e.seeds[divergence.run]}, presentation {presentation}, layer {divergence.layer}"
    smaller = f"eta = {' '.join(f'{rate / 4:g}' for rate in e.eta)}"
    what = f"an activity is not finite or beyond {engines.EXPLODED:g}"
    error = DivergenceError(f"diverged: {where}: {what}; try dt = {e.dt / 2:g} or {smaller}")
    error.divergence, error.presentation = divergence, presentation
    return error
