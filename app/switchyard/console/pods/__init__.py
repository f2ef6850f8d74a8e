"""The records of the other pods: asking for them, and adding them to the record of this pod."""
