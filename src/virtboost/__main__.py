"""``python -m virtboost`` is the ``virtboost`` command."""

from virtboost.cli.main import main

main()
