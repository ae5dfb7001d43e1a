"""Many experiments: what a sweep file asks for, run on one machine or many, and read back as one dataset.

plan = sweep.read("sweep.toml")
sweep.run(plan, "runs/sweep", workers=2)     each task in a run directory of its own; again: only what is left
ghostnet.load_sweep("runs/sweep")            an xarray Dataset over the parameters, seed and epoch
"""

from ghostnet.sweep.execution import run, run_one
from ghostnet.sweep.plan import Sweep, Task, read

__all__ = ["Sweep", "Task", "read", "run", "run_one"]
