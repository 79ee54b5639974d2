"""PREFINE: make a pretrained control policy safe from preferences.

Importing the package is light; torch, gymnasium and matplotlib are imported only by
the modules whose work needs them, so that each rule's environment stays small.
"""

__version__ = "0.1.0"
