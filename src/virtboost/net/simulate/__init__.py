"""The control plane of a network, simulated: who hears of what when, and at what cost."""
