#!/usr/bin/env python3
"""Run Django's management commands for the service."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("LOG_STREAM", "stderr")  # standard output is for the command's result
    execute_from_command_line(sys.argv)
