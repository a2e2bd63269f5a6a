"""What holds for all tests."""

import signal

# A job that a script runs in the background is started with Ctrl-C ignored, and hands that on to the processes that the
# tests start; what is tested is a program in the foreground.
signal.signal(signal.SIGINT, signal.default_int_handler)
