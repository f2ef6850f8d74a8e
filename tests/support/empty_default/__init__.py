"""A project whose `default` is empty: `main` owns the rows of all apps, and `spare` owns nothing."""
