"""What a program may ask of routing in a block or a function."""
