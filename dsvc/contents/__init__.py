"""What is inside files: text and, later, notebooks, tables and parameters."""
