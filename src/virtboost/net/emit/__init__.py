"""A planned network in the words of Calico, BIRD, FRR, Open vSwitch and OVN."""
