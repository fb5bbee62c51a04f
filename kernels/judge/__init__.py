"""The state machine of every verdict: rows of measures in, opened/worse/closed events out.

    ok --bad--> pending --long enough--> open --good--> clearing --long enough--> ok

What a row means is in layout.py, the rules of the machine are in op.py. This file loads nothing, because the
declarations of the detectors need layout.py in processes that have no torch.
"""
