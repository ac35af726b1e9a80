"""Nothing is plugged into any framework."""
