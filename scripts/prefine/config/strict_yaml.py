"""Read config files strictly: plain data of moderate size, each key once.

Snakemake lets the last of several equal keys win, follows aliases however much they grow to, and
runs the Python of a file that says `__use_yte__`. Here the file is looked at as YAML events, of
which nothing is built, and refused in one line.
"""

import re
from pathlib import Path

import yaml

from prefine.errors import UserError, shown
from prefine.reading import CONFIG as MAX_BYTES
from prefine.reading import read_bytes, refused_in_one_line

MAX_VALUES = 20_000  # with each alias counted as often as it is used
MAX_DEPTH = 30
MAX_LETTERS = 2000  # of one value
MAX_DIGITS = 40
CODE = ("__use_yte__", "__definitions__", "__variables__")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times faster
# What YAML 1.1, Snakemake's, reads otherwise than YAML 1.2 and most people do.
AMBIGUOUS = {
    r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?": "a number to the base of 60",
    r"[-+]?0[0-9_]+": "an octal number",
    r"[-+]?0b[01_]+": "a binary number",
    r"[-+]?(0x)?[0-9a-fA-F]+_[0-9a-fA-F_]*(\.[0-9_]*)?": "a number, its _ left out",
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?": "a date",
    r"[-+]?[0-9]+[eE][-+]?[0-9]+": "text, for it has no point (1.0e-3)",
    r"(?i:yes|no|on|off)": "true or false",
    r"<<": "an order to merge another part",
    r"=": "the sign of a default value",
}
# Controls, a mark of bytes that does not begin the file, zero-width and turning characters, and
# the ends of lines that editors do not show: NEL, U+2028, U+2029, a carriage return alone.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
    r"|\r(?!\n)"
)
NUMBER = re.compile(r"[-+]?[0-9.][0-9._eE+-]*|0x[0-9a-fA-F_]+")


def check(path: str | Path) -> None:
    """Refuse a config file that is more than plain data, or has no settings at all.

    Raises:
        UserError: one line with the file, the line and what to do.
    """
    if not str(path).strip():
        raise UserError("--configfile: names no file")
    check_text(path, read_bytes(path, MAX_BYTES))


def check_text(path: str | Path, text: bytes, a_value: bool = False) -> None:
    """The same of a text; ``a_value`` for one of the command line, which is no table of keys."""
    with refused_in_one_line(path, "is not YAML"):
        plain = text.decode("utf-8").removeprefix("\ufeff")
        _check_characters(path, plain)
        _check_events(path, yaml.parse(plain, Loader=LOADER), a_value)
        if "\t" in plain:  # libyaml takes more of them than Snakemake's parser
            for _ in yaml.parse(plain, Loader=yaml.SafeLoader):
                pass


def _check_characters(path: str | Path, text: str) -> None:
    """Refuse characters that nobody sees, some of which end a line and with it a comment."""
    for match in _UNSEEN.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        raise UserError(
            f"{path}: line {line}: has a character that nobody sees (U+{ord(match[0]):04X}), which "
            "may end a line or turn its direction; take it out, or write it as \\u in quotes"
        )


def load(path: Path) -> dict:
    """Read a file of this project's own."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)


class _Open:
    """A mapping or sequence whose end has not come yet."""

    def __init__(self, anchor: str | None, keys: set[str] | None):
        self.anchor, self.keys, self.size, self.awaits_key = anchor, keys, 1, True


def _check_events(path: str | Path, events, a_value: bool) -> None:
    stack, sizes, documents, begun = [_Open(None, None)], {}, 0, a_value
    for event in events:
        where = f"{path}: line {event.start_mark.line + 1}"
        size = 1
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise UserError(f"{where}: a second document begins; take out the line ---")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise UserError(f"{where}: *{event.anchor} names what contains it or is not there")
            size = sizes[event.anchor]
        elif isinstance(event, yaml.NodeEvent) and event.tag not in (None, "!"):
            raise UserError(f"{where}: the tag {event.tag} is not allowed; write plain values")
        if isinstance(event, yaml.NodeEvent) and not begun:
            _check_begin(path, event)
            begun = True
        if isinstance(event, yaml.ScalarEvent):
            _check_scalar(where, event)
        if isinstance(event, yaml.NodeEvent) and stack[-1].keys is not None:
            _check_key(where, event, stack[-1])
        if isinstance(event, yaml.CollectionStartEvent):
            if len(stack) > MAX_DEPTH:
                raise UserError(f"{where}: is nested deeper than {MAX_DEPTH} levels")
            keys = set() if isinstance(event, yaml.MappingStartEvent) else None
            stack.append(_Open(event.anchor, keys))
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            done = stack.pop()
            anchor, size = done.anchor, done.size
        elif isinstance(event, yaml.NodeEvent):
            anchor = event.anchor if isinstance(event, yaml.ScalarEvent) else None
        else:
            continue  # begin or end of the file or of a document
        if anchor:
            sizes[anchor] = size
        stack[-1].size += size
        if stack[-1].size > MAX_VALUES:
            raise UserError(
                f"{where}: more than {MAX_VALUES:,} values, its aliases counted as often as they "
                "are used"
            )
    if not begun:
        raise UserError(f"{path}: has no settings; write some, or leave it out")


def _check_begin(path: str | Path, event: yaml.NodeEvent) -> None:
    """A config file is a table of keys from its first value on."""
    if not isinstance(event, yaml.MappingStartEvent):
        nothing = isinstance(event, yaml.ScalarEvent) and event.value in ("", "~", "null")
        raise UserError(
            f"{path}: has no settings; write some, or leave it out"
            if nothing
            else f"{path}: holds {_kind(event)} where settings are needed, such as `seeds: 3`"
        )


def _kind(event: yaml.NodeEvent) -> str:
    return "a list" if isinstance(event, yaml.SequenceStartEvent) else "one value"


def _check_scalar(where: str, event: yaml.ScalarEvent) -> None:
    """Refuse a value of absurd length, and one that is not read as it looks."""
    plain = event.style in (None, "") and event.implicit[0]  # else in quotes: text
    if plain and len(event.value) > MAX_DIGITS and NUMBER.fullmatch(event.value):
        raise UserError(f"{where}: {shown(event.value, 20)} is a number of absurd length")
    if len(event.value) > MAX_LETTERS:
        raise UserError(
            f"{where}: {shown(event.value, 20)} has {len(event.value):,} letters; "
            f"{MAX_LETTERS:,} are allowed"
        )
    if not plain:
        return
    for pattern, meaning in AMBIGUOUS.items():
        if re.fullmatch(pattern, event.value):
            raise UserError(
                f"{where}: {event.value} would be read as {meaning}; write it in the usual way, "
                f"or as {shown(event.value)} if it is text"
            )


def _check_key(where: str, event: yaml.NodeEvent, mapping: _Open) -> None:
    """Every other node of a mapping is a key: a plain one, and none twice."""
    mapping.awaits_key = not mapping.awaits_key
    if mapping.awaits_key:
        return  # a value
    if not isinstance(event, yaml.ScalarEvent):
        raise UserError(f"{where}: a key must be one word or number")
    if event.value in CODE:
        raise UserError(f"{where}: {event.value} is not allowed; a config file holds no code")
    if event.value in mapping.keys:
        raise UserError(f"{where}: {event.value} is there twice; take one out")
    mapping.keys.add(event.value)
