"""Composition: a frozen config becomes objects, the objects run. What they do is at home in the packages below."""
