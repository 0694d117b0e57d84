"""Measurements beside a peer: ``make bench`` runs all, ``make bench-NAME`` one."""
