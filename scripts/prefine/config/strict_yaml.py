"""Read config files strictly: plain data of moderate size, each key once.

Snakemake lets the last of several equal keys win, follows aliases however much they grow to, and
runs the Python of a file that says `__use_yte__`. Here the file is looked at as YAML events, of
which nothing is built, and refused in one line.
"""

from pathlib import Path

import yaml

from prefine.errors import UserError

MAX_BYTES = 2**18  # config.yaml has 15 000
MAX_VALUES = 20_000  # with each alias counted as often as it is used
MAX_DEPTH = 30
CODE = ("__use_yte__", "__definitions__", "__variables__")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times faster


def check(path: str | Path) -> None:
    """Refuse a config file that is more than plain data.

    Raises:
        UserError: one line with the file, the line and what to do.
    """
    try:
        text = Path(path).read_bytes()
        if len(text) > MAX_BYTES:
            raise UserError(f"{path}: has {len(text):,} bytes; {MAX_BYTES:,} are allowed")
        _check_events(path, yaml.parse(text.decode(), Loader=LOADER))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a config file ({error})") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: is not YAML ({' '.join(str(error).split())})") from None


class _Open:
    """A mapping or sequence whose end has not come yet."""

    def __init__(self, anchor: str | None, keys: set[str] | None):
        self.anchor, self.keys, self.size, self.awaits_key = anchor, keys, 1, True


def _check_events(path: str | Path, events) -> None:
    stack, sizes = [_Open(None, None)], {}
    for event in events:
        where = f"{path}: line {event.start_mark.line + 1}"
        size = 1
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise UserError(f"{where}: *{event.anchor} names what contains it or is not there")
            size = sizes[event.anchor]
        elif isinstance(event, yaml.NodeEvent) and event.tag not in (None, "!"):
            raise UserError(f"{where}: the tag {event.tag} is not allowed; write plain values")
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
