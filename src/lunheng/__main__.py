"""``python -m lunheng``: the command line."""

from lunheng.cli.main import main

main()
