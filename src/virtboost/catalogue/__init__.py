"""The tuning items, one module per noun."""
