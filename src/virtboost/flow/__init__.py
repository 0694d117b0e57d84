"""OVS flow-table normalization: read a datapath, compose each traversal into one entry."""
