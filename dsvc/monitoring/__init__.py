"""Watch a model that is served: profiles of training data, metrics, drift, and the files that Prometheus reads."""
