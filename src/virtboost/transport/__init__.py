"""How one host is read: local, over SSH, recorded."""
