"""Policies of other makers, one file a format."""
