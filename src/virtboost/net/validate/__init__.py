"""What the figures of a network are worth on this machine: measured small, fitted, predicted, run."""
