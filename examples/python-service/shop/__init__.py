"""The work of the service, free of HTTP."""
