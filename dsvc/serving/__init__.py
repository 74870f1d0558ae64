"""Answer requests with a model: the program that `dsvc serve` starts, and that stands in images."""
