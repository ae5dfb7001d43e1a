"""What an ensemble of networks needs by arithmetic: bytes of memory, and time on a machine with known limits."""

from __future__ import annotations

from bench_engines import operations

import ghostnet as gn


def memory(e: gn.Experiment, images: int, itemsize: int = 4) -> float:
    """Bytes: what lasts, twice (a copy is kept in case a run diverges); seven activity-sized buffers; what is shown.

    That is the data set, a byte per pixel and 8 per label, for all runs, and of every run the order of an epoch.
    """
    R, B, n, m, row = len(e.seeds), e.batch, e.sizes, (0, *e.ghosts), e.plasticity
    slow = sum(n[k] * n[k - 1] for k in range(1, e.depth + 1))
    lateral = sum(m[k] * n[k] for k in range(1, e.depth))
    fixed = sum(n[k] * n[k + 1] for k in range(1, e.depth)) if e.feedback == "FA" else 0
    units = B * (sum(n[1:]) + sum(m))
    lasting = slow + lateral + (B if row.owned else 1) * lateral + fixed + units
    first = slow if e.clip is not None else 0 if row.once else B * (B + n[1])
    own = itemsize * (2 * lasting + 5 * units + first + B * (n[0] + 2 * n[-1] + sum(m)))
    return images * (n[0] + 8) + R * (own + 8 * e.train_examples)


def floor(e: gn.Experiment, bandwidth: float, rate: float, resident: bool) -> float:
    """Seconds per step of R networks: the larger of bytes over bandwidth and operations over matrix rate.

    Bytes are those of the weights, read once a step or, where they stay in registers (`resident`), once a phase, and of
    W_1 (read for its drive, read and written for its update) once per presentation, spread over its steps. Operations
    are the products' and, spread likewise, those of W_1.
    """
    steps, first = sum(e.steps), e.sizes[0] * e.sizes[1]
    products, _, size = operations(e)
    readings = len(e.phases) if resident else steps
    moved = len(e.seeds) * (e.batch * size * readings + 3 * 4 * first) / steps
    return max(moved / bandwidth, len(e.seeds) * e.batch * (products + 4 * first / steps) / rate)
