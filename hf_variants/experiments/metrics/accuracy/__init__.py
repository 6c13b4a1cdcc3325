"""One `evaluate.Metric`; see the module of the same name."""
