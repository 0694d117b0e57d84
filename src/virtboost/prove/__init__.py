"""Experiments: a change measured against itself undone, in an order that drift cannot fake."""
