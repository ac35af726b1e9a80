"""Tests of the package as it is installed: bindings/python/check runs them."""
