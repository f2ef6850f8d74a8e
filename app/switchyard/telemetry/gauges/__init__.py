"""Gauges: files of METRICS_DIR in which processes write what they know now, and the metrics made of them."""
