"""How the service listens, watches and drains."""

from engine.settings.section import Section


class ServiceSection(Section):
    """How the service listens, watches and drains."""
