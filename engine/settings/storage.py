"""Where verdicts, incidents and evidence are kept, and for how long."""

from engine.settings.section import Section


class StorageSection(Section):
    """Where verdicts, incidents and evidence are kept, and for how long."""
