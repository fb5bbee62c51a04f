"""Who is told of incidents, how, and how often."""

from engine.settings.section import Section


class NotifySection(Section):
    """Who is told of incidents, how, and how often."""
