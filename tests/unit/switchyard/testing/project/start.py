"""Run a command of Django with a start method for its workers: `start.py spawn test --parallel 2`."""

import multiprocessing
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv.pop(1))
    execute_from_command_line()
