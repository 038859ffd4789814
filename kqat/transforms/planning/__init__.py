"""From a graph and the user's settings to a plan: one pass a file, each from `Draft` to `Draft`."""
