"""`avjury bench gpu`: every benchmark of the GPU, and its tests, as `make gpu-check` runs them."""

from benchmarks.gpu_check import main

if __name__ == "__main__":
    raise SystemExit(main())
