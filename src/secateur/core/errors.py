"""The one exception that users are meant to see."""


class SecateurError(Exception):
    """Bad input, with a message that names the thing, the value found, the value wanted and the remedy.

    Scripts print it as one line on standard error and exit with status 1 (see `secateur.core.jobs.main`).
    """
