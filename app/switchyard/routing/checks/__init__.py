"""System checks of routing's settings. What a check refuses is never judged again at run time."""
