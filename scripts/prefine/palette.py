"""The colours of every page, light and dark: ``PALETTE``, CSS that goes before a page's own."""

from pathlib import Path

PALETTE = Path(__file__).with_suffix(".css").read_text(encoding="utf-8")
