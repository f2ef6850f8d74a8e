"""System checks of the settings for routing. Code elsewhere relies on them, and does not check again at run time."""
