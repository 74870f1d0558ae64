"""Version control for machine-learning projects: code, data, models and runs in one history."""

__version__ = "0.1.0"
