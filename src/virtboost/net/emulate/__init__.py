"""A described network really run, small: namespaces, BIRD, kernel routes, packets, faults."""
