"""The interfaces of other profilers, for programs that were written for them."""
