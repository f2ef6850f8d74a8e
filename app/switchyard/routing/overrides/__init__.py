"""Blocks and decorators that change how routing treats the code inside. Settings for a whole project are in conf.py."""
