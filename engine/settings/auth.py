"""Who may call the API."""

from engine.settings.section import Section


class AuthSection(Section):
    """Who may call the API."""
