"""Hosts and what is to run on them -> where it goes; pure, and the same for the same input."""
