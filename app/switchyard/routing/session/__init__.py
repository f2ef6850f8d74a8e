"""What one client must see: required positions, the routing context of a request or task, and the token it carries."""
