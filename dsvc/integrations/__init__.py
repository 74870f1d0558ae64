"""Small modules that let machine-learning libraries record what they do; each is imported on its own."""
