"""Gauges: the files of METRICS_DIR in which processes write what they know now, and the metrics that are made of them."""
