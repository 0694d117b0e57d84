"""Placements and changes in the words of other tools."""
