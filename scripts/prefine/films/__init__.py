"""Films: the policy before and after, side by side, in the simulator."""
