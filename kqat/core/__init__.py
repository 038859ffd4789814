"""What kqat knows without Keras: specifications, rules, reports and the golden NumPy reference."""
