"""Products of matrices in the flat array, made of register tiles."""

from __future__ import annotations

from ghostnet.engines.cpu import tiles
from ghostnet.engines.cpu.compiled import jit
from ghostnet.engines.cpu.emit import VECTOR_BYTES
from ghostnet.engines.cpu.simd import load, splat, store
from ghostnet.engines.cpu.tiles import DOT_ROWS


@jit
def whole_vectors(mem, count):
    """So many elements, and what fills up their last vector."""
    lanes = VECTOR_BYTES // mem.itemsize
    return (count + lanes - 1) // lanes * lanes


@jit
def multiply(mem, c, c_row, rows, a, a_row, a_column, count, m, m_row, width, alpha, keep):
    """C[p, :] = keep C[p, :] + alpha Σ_q A[p, q] M[q, :] for p < rows, q < count; rows of C and M `width` long."""
    lanes = VECTOR_BYTES // mem.itemsize
    i = 0
    while i < width:
        C, M, left = c + i, m + i, (width - i) // lanes
        if left == 4 or left > 6:  # of 5 and 6, not a single vector is left, which has too few sums
            tiles.strip_4(mem, C, c_row, rows, a, a_row, a_column, count, M, m_row, alpha, keep)
            i += 4 * lanes
        elif left > 2:
            tiles.strip_3(mem, C, c_row, rows, a, a_row, a_column, count, M, m_row, alpha, keep)
            i += 3 * lanes
        elif left == 2:
            tiles.strip_2(mem, C, c_row, rows, a, a_row, a_column, count, M, m_row, alpha, keep)
            i += 2 * lanes
        else:
            tiles.strip_1(mem, C, c_row, rows, a, a_row, a_column, count, M, m_row, alpha, keep)
            i += lanes


@jit
def dots(mem, c, c_row, rows, r, r_row, m, m_row, columns, width):
    """C[p, j] = Σ_i R[p, i] M[j, i] for p < rows, j < columns, i < width. Fills up the last vector of a row of C."""
    vectors = width // (VECTOR_BYTES // mem.itemsize)
    p = 0
    while rows - p >= DOT_ROWS:
        C, R = c + p * c_row, r + p * r_row
        for j in range(0, columns - 4, 5):
            tiles.dot_rows_5(mem, C + j, c_row, R, r_row, m + j * m_row, m_row, vectors)
        for j in range(columns - columns % 5, columns):
            tiles.dot_rows_1(mem, C + j, c_row, R, r_row, m + j * m_row, m_row, vectors)
        p += DOT_ROWS
    while p < rows:
        C = c + p * c_row
        R = r + p * r_row
        j = 0
        while columns - j >= 10:
            tiles.dot_10(mem, 0, 0, 0.0, C + j, j == 0, R, m + j * m_row, m_row, vectors)
            j += 10
        while columns - j >= 5:
            tiles.dot_5(mem, 0, 0, 0.0, C + j, j == 0, R, m + j * m_row, m_row, vectors)
            j += 5
        while j < columns:
            tiles.dot_1(mem, 0, 0, 0.0, C + j, 0, R, m + j * m_row, m_row, vectors)
            j += 1
        p += 1


@jit
def expand(mem, e, a, count, m, m_row, width, alpha):
    """E += alpha Σ_q a_q M[q, :]: `multiply` for one row."""
    vectors, q = width // (VECTOR_BYTES // mem.itemsize), 0
    while count - q >= 10:
        tiles.expand_10(mem, e, a + q, alpha, 0, 0, 0, m + q * m_row, m_row, vectors)
        q += 10
    while count - q >= 5:
        tiles.expand_5(mem, e, a + q, alpha, 0, 0, 0, m + q * m_row, m_row, vectors)
        q += 5
    while q < count:
        tiles.expand_1(mem, e, a + q, alpha, 0, 0, 0, m + q * m_row, m_row, vectors)
        q += 1


@jit
def expand_and_dots(mem, e, a, c, r, count, m, m_row, width):
    """E += Σ_q a_q M[q, :] and c_q = Σ_i M[q, i] R_i in one reading of M."""
    vectors, q = width // (VECTOR_BYTES // mem.itemsize), 0
    while tiles.REGISTERS == 32 and count - q >= 10:
        tiles.both_10(mem, e, a + q, 1.0, c + q, q == 0, r, m + q * m_row, m_row, vectors)
        q += 10
    while count - q >= 5:
        tiles.both_5(mem, e, a + q, 1.0, c + q, q == 0, r, m + q * m_row, m_row, vectors)
        q += 5
    while q < count:
        tiles.both_1(mem, e, a + q, 1.0, c + q, 0, r, m + q * m_row, m_row, vectors)
        q += 1


@jit
def outer(mem, c, c_row, rows, a, e, width, alpha):
    """C[p, :] += alpha a_p E."""
    vectors = width // (VECTOR_BYTES // mem.itemsize)
    for p in range(0, rows - 4, 5):
        tiles.outer_5(mem, c + p * c_row, c_row, a + p, alpha, e, vectors)
    for p in range(rows - rows % 5, rows):
        tiles.outer_1(mem, c + p * c_row, c_row, a + p, alpha, e, vectors)


@jit
def clear(mem, start, count):
    """Zero a block of whole vectors."""
    for i in range(start, start + count, VECTOR_BYTES // mem.itemsize):
        store(mem, i, splat(mem, 0.0))


@jit
def copy(mem, target, source, count):
    """Copy a block of whole vectors."""
    for i in range(0, count, VECTOR_BYTES // mem.itemsize):
        store(mem, target + i, load(mem, source + i))
