"""The sections of the configuration, one file each: what may be written, and what it means."""
