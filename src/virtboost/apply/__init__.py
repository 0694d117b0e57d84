"""Changes carried out, with a journal before each write and an exact undo."""
