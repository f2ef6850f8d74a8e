"""What happened in the last fifteen minutes, in bounded memory and shared by all processes that share METRICS_DIR."""
