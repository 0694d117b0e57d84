"""The agent: it learns connections, installs their entries, and takes them back in time."""
