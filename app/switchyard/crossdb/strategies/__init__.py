"""The strategies, one in each module: how a condition is answered when the outer query runs."""
