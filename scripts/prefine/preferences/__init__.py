"""The paper's sets of trajectories: D_ref, D_p and D_np."""
