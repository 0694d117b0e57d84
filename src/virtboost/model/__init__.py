"""What things are: frozen values with units in their names, and no I/O."""
