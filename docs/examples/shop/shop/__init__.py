"""A shop: the catalog on PostgreSQL, the visits on MySQL."""
