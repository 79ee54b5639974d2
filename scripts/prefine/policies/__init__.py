"""What acts: policy classes, their files, and how they run."""
