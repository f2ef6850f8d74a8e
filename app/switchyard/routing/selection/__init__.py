"""How a read is decided: the rules, the routers that apply them, and their explanation. No I/O."""
