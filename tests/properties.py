"""Hypothesis where it is installed; elsewhere, as on a bare GPU machine, the tests that need it are skipped.

The other tests of their files run there, and so do those that take helpers from these files.
"""

import pytest

try:
    from hypothesis import HealthCheck, example, given, settings
    from hypothesis import strategies as st
except ModuleNotFoundError:

    class _Nothing:
        """Stands for whatever would have been made."""

        def __getattr__(self, name):
            return self

        def __call__(self, *args, **kwargs):
            return self

    def given(*args, **kwargs):
        return pytest.mark.skip(reason="hypothesis is not installed")

    def example(*args, **kwargs):
        return lambda test: test

    def settings(*args, **kwargs):
        return lambda test: test

    st = _Nothing()
    HealthCheck = _Nothing()

__all__ = ["HealthCheck", "example", "given", "settings", "st"]
