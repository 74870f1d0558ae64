"""Container images without an engine: layers, layouts by the OCI image specification, and registries."""
