"""Trajectories: their files, and where they come from."""
