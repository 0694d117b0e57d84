"""Hold a host against the catalogue."""
