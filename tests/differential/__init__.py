"""Open vSwitch beside Open vSwitch with a fast path: the same frames in, every frame out compared."""
