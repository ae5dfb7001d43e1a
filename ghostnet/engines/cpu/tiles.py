"""Register tiles: the inner loops in which the CPU engine spends its time, written out for LLVM.

A tile keeps its accumulators in registers. Unrolling happens here, in Python, while the loop over the summed index
stays a loop; Numba alone would keep the accumulators in memory or vectorise the wrong loop.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ghostnet.engines.cpu.emit import VECTOR_BYTES, outlined

REGISTERS = 32 if VECTOR_BYTES == 64 else 16  # one accumulator too many, and a loop waits for memory
ROWS = 6 if REGISTERS == 32 else 3  # by up to 4 vectors: so many sums, the fewer of both operands, one of the others
DOT_ROWS = ROWS // 2 + 1
# What `_exchange` does in each of its sweeps, (expand, dot): both need more than 16 registers.
SWEEPS = ((True, True),) if REGISTERS == 32 else ((True, False), (False, True))


def _strip(columns: int):
    """An intrinsic for C[p, :] = keep C[p, :] + alpha Σ_q A[p, q] M[q, :] on `columns` vectors of every row."""

    def body(emit, c, c_row, rows, a, a_row, a_column, count, m, m_row, alpha, keep):
        builder = emit.builder
        factor, kept, zero, height = emit.splat(alpha), emit.splat(keep), ir.IntType(64)(0), ir.IntType(64)(ROWS)
        tall = builder.sub(rows, builder.srem(rows, height))
        for first, end, high in ((zero, tall, ROWS), (tall, rows, 1)):
            with cgutils.for_range_slice(builder, first, end, ir.IntType(64)(high), inc=True) as (p, _):
                C, A = emit.offset(c, (c_row, p)), emit.offset(a, (a_row, p))
                _tile(emit, high, columns, C, c_row, A, a_row, a_column, count, m, m_row, factor, kept)

    @intrinsic
    def strip(typingctx, mem, c, c_row, rows, a, a_row, a_column, count, m, m_row, alpha, keep):
        i, f = types.int64, mem.dtype
        return types.void(mem, i, i, i, i, i, i, i, i, i, f, f), outlined(f"strip_{columns}", body)

    return strip


def _tile(emit, rows: int, columns: int, c, c_row, a, a_row, a_column, count, m, m_row, factor, kept) -> None:
    """C = kept C + factor A M on rows x columns vectors, sums in registers."""
    builder, cells = emit.builder, [(p, v) for p in range(rows) for v in range(columns)]
    sums = {cell: emit.variable() for cell in cells}
    with cgutils.for_range(builder, count) as loop:
        row = emit.offset(m, (m_row, loop.index))

        def broadcast(p):
            return emit.splat(emit.load_scalar(emit.offset(a, (a_row, p), (a_column, loop.index))))

        def add(p, v, A, M):
            builder.store(emit.fma(A, M, builder.load(sums[p, v])), sums[p, v])

        if rows < columns:
            A = [broadcast(p) for p in range(rows)]
            for v in range(columns):
                M = emit.load(emit.ahead(row, v))
                for p in range(rows):
                    add(p, v, A[p], M)
        else:
            M = [emit.load(emit.ahead(row, v)) for v in range(columns)]
            for p in range(rows):
                A = broadcast(p)
                for v in range(columns):
                    add(p, v, A, M[v])
    for p, v in cells:
        at = emit.ahead(emit.offset(c, (c_row, p)), v)
        C = builder.fmul(kept, emit.load(at))
        emit.store(at, emit.fma(factor, builder.load(sums[p, v]), C))


def _dot_tile(rows: int, columns: int):
    """An intrinsic for C[p, j] = Σ_i R[p, i] M[j, i]: rows x columns dot products over `vectors`, in registers."""

    def body(emit, c, c_row, r, r_row, m, m_row, vectors):
        builder, cells = emit.builder, [(p, j) for p in range(rows) for j in range(columns)]
        sums = {cell: emit.variable() for cell in cells}
        with cgutils.for_range(builder, vectors) as loop:
            R = [emit.load(emit.offset(r, (r_row, p), (emit.width, loop.index))) for p in range(rows)]
            for j in range(columns):
                M = emit.load(emit.offset(m, (m_row, j), (emit.width, loop.index)))
                for p in range(rows):
                    builder.store(emit.fma(R[p], M, builder.load(sums[p, j])), sums[p, j])
        across = max(1, emit.type.count // rows)  # sums of a row that are stored at once
        for first in range(0, columns, across):
            chosen = range(first, min(first + across, columns))
            totals = emit.totals([builder.load(sums[p, j]) for p in range(rows) for j in chosen])
            for p in range(rows):
                at = builder.add(emit.offset(c, (c_row, p)), ir.IntType(64)(first))
                emit.store_some(at, totals, p * len(chosen), len(chosen))

    @intrinsic
    def tile(typingctx, mem, c, c_row, r, r_row, m, m_row, vectors):
        i = types.int64
        return types.void(mem, i, i, i, i, i, i, i), outlined(f"dot_{rows}_{columns}", body)

    return tile


def _sweep(rows: int, expand: bool, dot: bool):
    """An intrinsic reading `rows` rows of M once: E += alpha Σ_q a_q M[q, :] (expand), c_q = Σ_i M[q, i] R_i (dot).

    With `whole` (0 or 1), the vectors of c are stored whole, zeros after the last row: what is read as a vector soon
    must be written as one, or the processor waits for it to reach the cache.
    """

    def body(emit, e, a, alpha, c, whole, r, m, m_row, vectors):
        builder = emit.builder
        A = [emit.load_scalar(emit.ahead(a, 0, q)) for q in range(rows)] if expand else []
        A = [emit.splat(builder.fmul(alpha, scalar)) for scalar in A]
        sums = [emit.variable() for _ in range(rows if dot else 0)]
        with cgutils.for_range(builder, vectors) as loop:
            M = [emit.load(emit.offset(m, (m_row, q), (emit.width, loop.index))) for q in range(rows)]
            if expand:
                at = emit.offset(e, (emit.width, loop.index))
                E = emit.load(at)
                for q in range(rows):
                    E = emit.fma(A[q], M[q], E)
                emit.store(at, E)
            if dot:
                R = emit.load(emit.offset(r, (emit.width, loop.index)))
                for q in range(rows):
                    builder.store(emit.fma(R, M[q], builder.load(sums[q])), sums[q])
        if dot:
            sums = [builder.load(total) for total in sums]
            with builder.if_else(builder.trunc(whole, ir.IntType(1))) as (then, otherwise):
                with then:
                    emit.store_totals(c, sums)
                with otherwise:
                    emit.store_totals(c, sums, padded=False)

    @intrinsic
    def sweep(typingctx, mem, e, a, alpha, c, whole, r, m, m_row, vectors):
        i = types.int64
        name = f"sweep_{rows}" + "_expand" * expand + "_dot" * dot
        return types.void(mem, i, i, mem.dtype, i, i, i, i, i, i), outlined(name, body)

    return sweep


def _outer(rows: int):
    """An intrinsic for C[p, :] += alpha a_p E, `rows` rows."""

    def body(emit, c, c_row, a, alpha, e, vectors):
        builder = emit.builder
        A = [emit.load_scalar(emit.ahead(a, 0, p)) for p in range(rows)]
        A = [emit.splat(builder.fmul(alpha, scalar)) for scalar in A]
        with cgutils.for_range(builder, vectors) as loop:
            E = emit.load(emit.offset(e, (emit.width, loop.index)))
            for p in range(rows):
                at = emit.offset(c, (c_row, p), (emit.width, loop.index))
                emit.store(at, emit.fma(A[p], E, emit.load(at)))

    @intrinsic
    def outer(typingctx, mem, c, c_row, a, alpha, e, vectors):
        i = types.int64
        return types.void(mem, i, i, i, mem.dtype, i, i), outlined(f"outer_{rows}", body)

    return outer


def _exchange(rows: int, ghosts: int, shared: bool, learn: bool):
    """An intrinsic for all that one hidden layer of a batch of one exchanges in a step, in one or two sweeps.

    E = Σ_q a_q B[q, :] - Σ_j g_j V[j, :],  c_q = Σ_i W[q, i] R_i,  h_j = Σ_i P[j, i] R_i  and, with `learn`,
    V[j, :] += step g_j E, for q < rows and j < ghosts; B is W where `shared`. All start with vector `start` and go on
    by `stride` (1 or -1): to turn at both ends finds in the cache what the previous step has read last.
    """

    def body(emit, e, a, g, r, w, b, v, p, row, step, c, h, start, stride, vectors):
        builder = emit.builder
        A = [emit.splat(emit.load_scalar(emit.ahead(a, 0, q))) for q in range(rows)]
        G = [emit.splat(emit.load_scalar(emit.ahead(g, 0, j))) for j in range(ghosts)]
        step = emit.splat(step)
        sums = [emit.variable() for _ in range(rows + ghosts)]
        for expand, dot in SWEEPS:
            with cgutils.for_range(builder, vectors) as loop:
                i = emit.offset(ir.IntType(64)(0), (emit.width, builder.add(start, builder.mul(stride, loop.index))))
                R = emit.load(builder.add(r, i))
                received = [ir.Constant(emit.type, None)] * 2  # two chains: half the latency
                for q in range(rows):
                    W = emit.load(builder.add(emit.offset(w, (row, q)), i))
                    if expand:
                        B = W if shared else emit.load(builder.add(emit.offset(b, (row, q)), i))
                        received[q % 2] = emit.fma(A[q], B, received[q % 2])
                    if dot:
                        builder.store(emit.fma(R, W, builder.load(sums[q])), sums[q])
                cancelled, V = ir.Constant(emit.type, None), []
                for j in range(ghosts):
                    if expand:
                        V.append(emit.load(builder.add(emit.offset(v, (row, j)), i)))
                        cancelled = emit.fma(G[j], V[j], cancelled)
                    if dot:
                        P = emit.load(builder.add(emit.offset(p, (row, j)), i))
                        builder.store(emit.fma(R, P, builder.load(sums[rows + j])), sums[rows + j])
                if expand:
                    E = builder.fsub(builder.fadd(*received), cancelled)
                    emit.store(builder.add(e, i), E)
                if expand and learn:
                    change = builder.fmul(step, E)
                    for j in range(ghosts):
                        emit.store(builder.add(emit.offset(v, (row, j)), i), emit.fma(G[j], change, V[j]))
        totals = [builder.load(total) for total in sums]
        emit.store_totals(c, totals[:rows])
        emit.store_totals(h, totals[rows:])

    @intrinsic
    def exchange(typingctx, mem, e, a, g, r, w, b, v, p, row, step, c, h, start, stride, vectors):
        i = types.int64
        name = f"exchange_{rows}_{ghosts}" + "_shared" * shared + "_learn" * learn
        return types.void(mem, i, i, i, i, i, i, i, i, i, mem.dtype, i, i, i, i, i), outlined(name, body)

    return exchange


strip_4, strip_3, strip_2, strip_1 = (_strip(columns) for columns in (4, 3, 2, 1))
dot_rows_5, dot_rows_1 = _dot_tile(DOT_ROWS, 5), _dot_tile(DOT_ROWS, 1)
dot_10, dot_5, dot_1 = (_sweep(rows, False, True) for rows in (10, 5, 1))
expand_10, expand_5, expand_1 = (_sweep(rows, True, False) for rows in (10, 5, 1))
both_10, both_5, both_1 = (_sweep(rows, True, True) for rows in (10, 5, 1))
outer_5, outer_1 = _outer(5), _outer(1)
# The top hidden layer of the paper's MB networks: 10 classes, 5 ghosts.
EXCHANGE = 10, 5
exchange, exchange_learning = _exchange(*EXCHANGE, False, False), _exchange(*EXCHANGE, False, True)
exchange_shared, exchange_shared_learning = _exchange(*EXCHANGE, True, False), _exchange(*EXCHANGE, True, True)
