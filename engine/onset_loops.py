"""What is done with every sample to find where sound sets in, compiled. Importing it loads numba.

A block takes two microseconds: Python's lock is kept meanwhile.
"""

from kernels.rows import brief


@brief
def loudness_of(samples, loudness):
    """The largest |sample| of all channels, (C, n) float32 -> (n,) float32."""
    for i in range(loudness.shape[0]):
        loudness[i] = abs(samples[0, i])
    for channel in range(1, samples.shape[0]):
        for i in range(loudness.shape[0]):
            loudness[i] = max(loudness[i], abs(samples[channel, i]))


@brief
def rising_steps(loudness, step, both, quiet_steps, smeared_steps, least, rise, found):
    """The steps that are loud enough, and so many times louder than all of the steps that ended a while before them.

    Args:
        loudness: (n,) float32, in steps of `step` samples.
        both: (quiet_steps + smeared_steps + n // step,) float32: the levels of the steps before, and of these, filled.
        quiet_steps, smeared_steps: how many are compared with, and how many lie between.
        least, rise: float32.
        found: (n // step,) int64, filled.
    Returns: how many.
    """
    first, count = quiet_steps + smeared_steps, 0
    for k in range(found.shape[0]):
        level = loudness[k * step]
        for i in range(k * step + 1, (k + 1) * step):
            level = max(level, loudness[i])
        both[first + k] = level
    for k in range(found.shape[0]):
        level = both[first + k]
        if not level >= least:
            continue
        rises = True
        # From the newest: what goes on shows at once.
        for before in range(k + quiet_steps - 1, k - 1, -1):
            if not level >= rise * both[before]:
                rises = False
                break
        if rises:
            found[count] = k
            count += 1
    return count
