"""Carrying plans out: journal, effect, journal, event. No choices are made here."""
