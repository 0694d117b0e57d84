"""What a network's figures are worth on this machine: measured small, fitted, predicted, run."""
