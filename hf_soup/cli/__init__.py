"""The command line: it parses, calls the API and prints; it holds no logic.

Results go to standard output, progress and warnings to standard error. Exit codes: 0 done, 1 failed while running,
2 wrong input, 4 `verify` found something else than the card says, 130 interrupted.
"""

from hf_soup.cli.main import app, main

__all__ = ["app", "main"]
