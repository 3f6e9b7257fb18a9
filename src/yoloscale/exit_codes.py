"""Exit codes of a rank and of the launcher: a contract with whoever started them."""

FINISHED = 0
FAILED = 1
BAD_CONFIG = 2  # or a command that cannot be: nothing was started
STOPPED = 75  # on request, with the work saved: to be gone on with (EX_TEMPFAIL of sysexits.h)
INTERRUPTED = 130  # by the person, with Ctrl-C
