import signal

# A shell that starts the tests in the background has them ignore Ctrl-C, and every process that they start would
# inherit that; some tests are about what Ctrl-C does.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
