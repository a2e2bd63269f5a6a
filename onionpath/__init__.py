"""Send requests so that nobody learns both who asks and what is asked."""
