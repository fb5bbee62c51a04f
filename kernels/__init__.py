"""Device kernels: per kernel one folder with its schema, Triton, CPU and reference versions side by side."""
