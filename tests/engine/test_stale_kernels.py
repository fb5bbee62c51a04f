"""Kernels that were compiled from other sources than there are."""

import os

import pytest

from engine.stale_kernels import forget_stale_kernels


@pytest.fixture
def tree(tmp_path):
    """A kernel and a constant that it goes by, with what was compiled of the kernel a minute later."""
    kernel, constants = tmp_path / "kernels/seen/cpu.py", tmp_path / "kernels/layout.py"
    compiled = [tmp_path / "kernels/seen/__pycache__" / f"cpu.measure-1.py311.{end}" for end in ("nbi", "1.nbc")]
    for path, at in ((kernel, 1000), (constants, 1000), *((path, 1060) for path in compiled)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (at, at))
    return tmp_path, constants, compiled


def test_what_is_newer_than_its_sources_is_kept(tree):
    root, _, compiled = tree
    assert forget_stale_kernels(root) == 0
    assert all(path.exists() for path in compiled)


def test_a_constant_that_changed_in_another_file_drops_what_was_compiled_with_it(tree):
    root, constants, compiled = tree
    os.utime(constants, (2000, 2000))
    assert forget_stale_kernels(root) == 2
    assert not any(path.exists() for path in compiled)


def test_a_change_of_a_kernel_for_another_device_drops_nothing(tree):
    root, _, compiled = tree
    (root / "kernels/seen/gpu.py").touch()
    assert forget_stale_kernels(root) == 0
    assert all(path.exists() for path in compiled)
