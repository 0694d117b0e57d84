"""Read a host: one module per noun, each with its sources and a pure ``parse``."""
