"""Graph transforms: trace, split, plan, insert, strip, calibrate."""
