"""Compiled loops over one row of samples, which several CPU kernels share. Importing it loads numba."""

import numpy as np
from numba import njit

from kernels.addresses import add_difference, samples_at

compiled = njit(nogil=True, cache=True, error_model="numpy", boundscheck=False)
# Of a few microseconds: who gives Python's lock up for so long wakes another thread that finds it taken again.
brief = njit(nogil=False, cache=True, error_model="numpy", boundscheck=False)


@compiled
def sum_of_differences(a, b, count):
    """Sum of |a[i] - b[i]|; at most 2**15 samples of 16 bit, so that it fits 31 bits."""
    total = np.int32(0)
    for i in range(count):
        total = add_difference(total, a[i], b[i])
    return np.int64(total)


@compiled
def codes(address, count, shift, buffer_address, like):
    """Where a row's code values are: in place, or in the buffer once the low bits are shifted out."""
    stored = samples_at(address, like)
    if shift == 0:
        return stored
    shifted = samples_at(buffer_address, like)
    for i in range(count):
        shifted[i] = stored[i] >> shift
    return shifted
