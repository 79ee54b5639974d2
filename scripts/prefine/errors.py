"""What is shown to a user as a single line, without a traceback."""

LONGEST = 1000  # characters of a line; its middle is left out


class UserError(Exception):
    """Something the user can mend; its message says what, where and how.

    Text of files may stand in it: control characters are escaped and a long middle is cut, so
    that no file can forge a line, move the cursor or fill the terminal.

    Args:
        line: the message.
        more: further lines of our own, where one is not enough.
    """

    def __init__(self, line: str, *more: str):
        super().__init__(*(plain(text) for text in (line, *more)))

    def __str__(self) -> str:
        return "\n".join(self.args)


class NoRoom(UserError):
    """Nothing more can be written: the disk is full, or a limit is reached."""


def require(holds: object, otherwise: str) -> None:
    """Raise UserError unless something holds; unlike ``assert``, also under ``python -O``."""
    if not holds:
        raise UserError(otherwise)


def plain(text: object, longest: int = LONGEST) -> str:
    """Text as one line without control characters, its middle cut where it is long."""
    text = _cut(str(text), longest)
    if text.isprintable():
        return text
    return _cut("".join(_escaped(character) for character in text), longest)


def _cut(text: str, longest: int) -> str:
    """Leave out the middle of a long text."""
    begin = 2 * longest // 3
    return text if len(text) <= longest else f"{text[:begin]} ... {text[begin - longest + 5 :]}"


def shown(value: object, longest: int = 60) -> str:
    """A value of a file as it stands in a message: quoted and short."""
    text = value if isinstance(value, str) else _text(value)
    text = text if len(text) <= longest else f"{text[: longest - 3]}..."
    return repr(text) if isinstance(value, str) else plain(text)


def short(value: object, longest: int = 60) -> str:
    """The same without quotes, for a name or what is quoted already."""
    text = shown(str(value), longest)[1:-1]
    return plain(text)


def reason(error: BaseException, longest: int = 300) -> str:
    """Why somebody else's code failed, in one line; its type where it says nothing."""
    try:
        text = " ".join(plain(error, 10 * longest).replace("\\n", " ").split())
    except Exception:  # its own __str__ fails
        text = ""
    return plain(text, longest) or type(error).__name__


def _text(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # an integer of 5,000 digits, an object of somebody else's
        return f"a value of type {type(value).__name__}"


def _escaped(character: str) -> str:
    """Line ends, escape codes, what turns the direction of text: as Python would write them."""
    return (
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
    )
