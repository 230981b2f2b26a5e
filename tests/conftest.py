import signal

# A shell that starts the tests in the background has them ignore Ctrl-C, and nohup the end of the session. Every
# process that they start would inherit that, and some tests are about these signals. A handler is not inherited, even
# an idle one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda _signum, _frame: None)
