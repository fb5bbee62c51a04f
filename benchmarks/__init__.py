"""The harness: ratios measured in one run, each with the machine beside it."""
