"""The service around the engines: supervisor, API, metrics. Nothing here loads torch or decodes."""
