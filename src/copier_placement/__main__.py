"""Run the command line as `python -m copier_placement`."""

from .cli import main

main()
