"""`python -m tests.failures` writes docs/failures.md from the cases beside this file."""

from .page import PAGE, text

PAGE.write_text(text(), encoding="utf-8")
