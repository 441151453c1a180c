"""Generate requests from a seed: valid ones of every route, changed in one or a few places."""

import random
from collections.abc import Callable, Iterator, Sequence

INTERESTING = (
    b"", b"\0", b"\xff", b"\r\n", b"\n", b"\r", b" ", b"\t", b"/", b"//", b"%00", b"%2f", b"%ff", b"..", b"?", b"&", b"=",
    b"#", b":", b"[", b"]", b"{", b"}", b'"', b"\\", b"\\ud800", b"NaN", b"1e999", b"-1", b"0", b"1" + b"0" * 400, b"null",
    b"true", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"9223372036854775808", b"-9223372036854775809", b"'", b"<script>",
    b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: evil.example\r\n", b"HTTP/1.0", b"a" * 5000,
)  # fmt: skip
"""Values to insert, or to put in place of others."""

Change = Callable[[random.Random, bytes], bytes]


def mutations(valid: Sequence[bytes], seed: int) -> Iterator[bytes]:
    """Make changed requests without end.

    Args:
        valid: Requests that the service answers.
        seed: The same one makes the same requests.
    """
    dice = random.Random(seed)
    while True:
        request = dice.choice(valid)
        for _ in range(dice.choice((1, 1, 1, 2, 3, 5))):
            request = dice.choice(CHANGES)(dice, request)
        yield request


def _flip(dice: random.Random, sent: bytes) -> bytes:
    if not sent:
        return sent
    at = dice.randrange(len(sent))
    return sent[:at] + bytes([sent[at] ^ (1 << dice.randrange(8))]) + sent[at + 1 :]


def _insert(dice: random.Random, sent: bytes) -> bytes:
    at = dice.randint(0, len(sent))
    return sent[:at] + dice.choice(INTERESTING) + sent[at:]


def _replace(dice: random.Random, sent: bytes) -> bytes:
    start = dice.randint(0, len(sent))
    end = min(len(sent), start + dice.choice((1, 2, 4, 8, 32)))
    return sent[:start] + dice.choice(INTERESTING) + sent[end:]


def _cut(dice: random.Random, sent: bytes) -> bytes:
    start = dice.randint(0, len(sent))
    return sent[:start] + sent[start + dice.choice((1, 3, 10, 100, len(sent))) :]


def _repeat(dice: random.Random, sent: bytes) -> bytes:
    start = dice.randint(0, len(sent))
    piece = sent[start : start + dice.choice((1, 5, 20, 80))]
    return sent[:start] + piece * dice.choice((2, 3, 50)) + sent[start + len(piece) :]


def _word(dice: random.Random, sent: bytes) -> bytes:
    """Change a whole word: a method, a header, a field, a number."""
    words = sent.split(b" ")
    words[dice.randrange(len(words))] = dice.choice(INTERESTING)
    return b" ".join(words)


def _line(dice: random.Random, sent: bytes) -> bytes:
    """Take a line out, write it twice, or put it elsewhere."""
    lines = sent.split(b"\r\n")
    at = dice.randrange(len(lines))
    line = lines[at]
    return b"\r\n".join(dice.choice((
        [*lines[:at], *lines[at + 1 :]],
        [*lines[:at], line, *lines[at:]],
        [*lines[at:], *lines[:at]],
        sorted(lines),
    )))  # fmt: skip


def _body(dice: random.Random, sent: bytes) -> bytes:
    """Change the body and declare its new length, so that the parser behind the length is reached."""
    head, separator, body = sent.partition(b"\r\n\r\n")
    if not body:
        return _flip(dice, sent)
    changed = dice.choice((_flip, _insert, _replace, _cut, _repeat, _word))(dice, body)
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(changed)]) + separator + changed


CHANGES: tuple[Change, ...] = (
    _flip,
    _insert,
    _replace,
    _cut,
    _repeat,
    _word,
    _line,
    _body,
    _body,
    _body,
    _body,
)
"""Weights of the changes: mostly bodies, since the parser of HTTP is not ours."""
