"""Send requests so that nobody learns both who asks and what is asked."""

__version__ = "0.1.0"
