"""What is shown to a user as a single line, without a traceback."""


class UserError(Exception):
    """Something the user can mend; its message says what, where and how."""


class NoRoom(UserError):
    """Nothing more can be written: the disk is full, or a limit is reached."""
