"""Foreign weights in and out: one file per family."""
