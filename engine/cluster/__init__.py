"""Many engines on many machines, on Ray: who judges what, and that nothing is judged twice."""
