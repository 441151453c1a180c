"""Requests that are broken on purpose, one by one: the shapes that no mutation finds quickly."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass

JSON = b"application/json"
SAFETENSORS = b"application/vnd.safetensors"


@dataclass(frozen=True)
class Shape:
    """Bytes to send on one connection."""

    name: str
    pieces: tuple[bytes, ...]


@dataclass(frozen=True)
class Known:
    """Facts about the service, so that a request fails for one reason only."""

    index: str
    query: bytes
    """JSON of a valid query."""
    key: str | None = None

    @property
    def ask(self) -> bytes:
        """Path of attributions."""
        return f"/v1/indexes/{self.index}/attributions".encode()

    def head(self, method: bytes, path: bytes, *lines: bytes, host: bytes = b"localhost") -> bytes:
        """Write the head of a request, with the caller's key."""
        named = [b"Host: " + host, *([f"Authorization: Bearer {self.key}".encode()] if self.key else [])]
        return b"\r\n".join([method + b" " + path + b" HTTP/1.1", *named, *lines, b"", b""])

    def get(self, path: bytes, *lines: bytes) -> bytes:
        """Write a request without a body, the last on its connection."""
        return self.head(b"GET", path, b"Connection: close", *lines)

    def post(self, path: bytes, body: bytes, *lines: bytes, kind: bytes = JSON) -> bytes:
        """Write a request with a body, the last on its connection."""
        length = b"Content-Length: %d" % len(body)
        return self.head(b"POST", path, b"Content-Type: " + kind, length, b"Connection: close", *lines) + body


def shapes(known: Known) -> Iterator[Shape]:
    """List every shape, for one service."""
    for made in (_lengths, _smuggling, _heads, _addresses, _bodies, _connections, _credentials):
        for name, *pieces in made(known):
            yield Shape(name, tuple(pieces))
    yield Shape("head that never ends", (b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",))
    yield Shape("nothing at all", ())


def _body(known: Known) -> bytes:
    return b'{"query": ' + known.query + b"}"


def _lengths(known: Known) -> Iterator[tuple[str, ...] | tuple[str, bytes]]:
    body, kind = _body(known), b"Content-Type: application/json"
    for value in (
        b"-1", b"+5", b"0x10", b"1e3", b"1_0", b" ", b"", b"\xb2", b"\xd9\xa5", b"5, 5", b"5, 6", b"9" * 400,
        b"99999999999999999999", b"18446744073709551616", b"NaN", b"5;q=1", b"00000000000000000000005",
    ):  # fmt: skip
        yield (
            f"length {value[:24]!r}",
            known.head(b"POST", known.ask, kind, b"Content-Length: " + value) + body,
        )
    declared = b"Content-Length: %d"
    yield "longer than declared", known.head(b"POST", known.ask, kind, declared % (len(body) - 1)) + body
    yield "shorter than declared", known.head(b"POST", known.ask, kind, declared % (len(body) + 9)) + body
    yield "two lengths", known.head(b"POST", known.ask, kind, declared % len(body), declared % 1) + body
    yield "one length twice", known.head(b"POST", known.ask, kind, *([declared % len(body)] * 2)) + body
    yield "no length", known.head(b"POST", known.ask, kind) + body
    yield "a body on GET", known.head(b"GET", b"/v1/indexes", declared % len(body)) + body
    yield "a huge body on GET", known.head(b"GET", b"/livez", declared % (1 << 40))
    yield "a huge body declared", known.head(b"POST", known.ask, kind, declared % (1 << 40)) + body
    yield (
        "expects to be told to go on",
        known.head(b"POST", known.ask, kind, declared % len(body), b"Expect: 100-continue") + body,
    )
    yield "expects the impossible", known.head(b"POST", known.ask, kind, declared % len(body), b"Expect: 7")


def _smuggling(known: Known) -> Iterator[tuple[str, bytes]]:
    hidden = known.get(b"/v1/indexes")
    chunked = b"0\r\n\r\n" + hidden
    kind = b"Content-Type: application/json"
    for name, lines in {
        "length and chunks": (b"Content-Length: %d" % len(chunked), b"Transfer-Encoding: chunked"),
        "chunks and length": (b"Transfer-Encoding: chunked", b"Content-Length: 4"),
        "chunks twice": (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        "chunks, then identity": (b"Transfer-Encoding: chunked, identity",),
        "identity, then chunks": (b"Transfer-Encoding: identity, chunked",),
        "chunks in capitals": (b"Transfer-Encoding: CHUNKED",),
        "chunks after a tab": (b"Transfer-Encoding:\tchunked",),
        "chunks with a space before the colon": (b"Transfer-Encoding : chunked",),
        "chunks on a folded line": (b"Transfer-Encoding:", b" chunked"),
        "chunks with a vertical tab": (b"Transfer-Encoding: \x0bchunked",),
        "quoted chunks": (b'Transfer-Encoding: "chunked"',),
        "unknown coding": (b"Transfer-Encoding: xchunked",),
        "gzip": (b"Transfer-Encoding: gzip, chunked",),
        "length on a folded line": (b"Content-Length:", b" 5"),
        "length with a line feed alone": (b"X: 1\nContent-Length: 3",),
        "length after a carriage return": (b"X: 1\rContent-Length: 3",),
        "upgrade to h2c": (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMA"),
        "upgrade to a web socket": (
            b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ),
    }.items():  # fmt: skip
        yield name, known.head(b"POST", known.ask, kind, *lines) + chunked
    for name, sent in {
        "a size of letters": b"xyz\r\nabc\r\n0\r\n\r\n",
        "a negative size": b"-1\r\nabc\r\n0\r\n\r\n",
        "a size with a prefix": b"0x3\r\nabc\r\n0\r\n\r\n",
        "a huge size": b"f" * 16 + b"\r\nabc",
        "a size of too many digits": b"0" * 100 + b"3\r\nabc\r\n0\r\n\r\n",
        "an endless extension": b"3;" + b"a" * 100_000 + b"\r\nabc\r\n0\r\n\r\n",
        "no end of the chunk": b"3\r\nabcde\r\n0\r\n\r\n",
        "line feeds alone": b"3\nabc\n0\n\n",
        "trailers": b"0\r\nContent-Length: 5\r\nAuthorization: Bearer x\r\n\r\n",
        "no last chunk": b"3\r\nabc\r\n",
        "a terminator inside": b"3\r\n\r\n\r\r\n0\r\n\r\n",
    }.items():
        yield name, known.head(b"POST", known.ask, kind, b"Transfer-Encoding: chunked") + sent


def _heads(known: Known) -> Iterator[tuple[str, bytes]]:
    plain = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
    yield "HTTP/0.9", b"GET /livez\r\n"
    yield "HTTP/0.9 with words", b"GET /livez HTTP/0.9\r\n\r\n"
    yield "HTTP/1.0", b"GET /livez HTTP/1.0\r\n\r\n"
    yield "HTTP/1.0 with a host", b"GET /livez HTTP/1.0\r\nHost: localhost\r\n\r\n"
    yield "HTTP/2's preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for version in (
        b"HTTP/1.2",
        b"HTTP/9.9",
        b"HTTP/1",
        b"HTTP/1.1.1",
        b"http/1.1",
        b"HTTP/ 1.1",
        b"HTCPCP/1.0",
        b"",
    ):
        yield f"version {version!r}", b"GET /livez " + version + b"\r\nHost: localhost\r\n\r\n"
    yield "TLS hello", bytes.fromhex("16030100c8010000c40303") + bytes(range(189))
    yield "an SSH greeting", b"SSH-2.0-OpenSSH_9.2\r\n"
    yield "a proxy's line", b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + plain + b"\r\n"
    yield "empty lines first", b"\r\n" * 20 + plain + b"\r\n"
    yield "zeros", b"\0" * 4096
    yield "line feeds alone", plain.replace(b"\r", b"") + b"\n"
    yield "no host", b"GET /livez HTTP/1.1\r\n\r\n"
    yield "two hosts", plain + b"Host: evil.example\r\n\r\n"
    for host in (b"", b"evil.example", b"localhost@evil.example", b"localhost:x", b"[::1", b"[", b"]", b"localhost,x",
                 b"LOCALHOST.", b"127.1", b"0x7f.1", b"localhost\x00x", b"\xff", b"a" * 70_000):  # fmt: skip
        yield f"host {host[:24]!r}", known.head(b"GET", b"/livez", host=host)
    for method in (
        b"",
        b"get",
        b"BREW",
        b"G\0T",
        b"G T",
        b"G" * 70_000,
        b"\xff",
        b"CONNECT",
        b"TRACE",
        b"__init__",
    ):
        yield f"method {method[:12]!r}", known.head(method, b"/livez")
    yield "a header of 70,000 bytes", plain + b"X: " + b"a" * 70_000 + b"\r\n\r\n"
    yield "5,000 headers", plain + b"".join(b"X-%d: a\r\n" % n for n in range(5000)) + b"\r\n"
    yield "a header without a name", plain + b": a\r\n\r\n"
    yield "a header without a colon", plain + b"nothing\r\n\r\n"
    yield "a zero byte in a header", plain + b"X: a\0b\r\n\r\n"
    yield "other bytes in a header", plain + b"X: \xff\xfe\x80\r\n\r\n"
    yield "a folded header", plain + b"X: a\r\n b\r\n\r\n"
    for name in (b"X-HTTP-Method-Override", b"X-HTTP-Method", b"X-Method-Override"):
        yield f"{name.decode()}", known.get(b"/v1/indexes", name + b": DELETE")
    for name in (b"X-Forwarded-For", b"X-Forwarded-Host", b"X-Original-URL", b"X-Rewrite-URL", b"Forwarded"):
        yield f"{name.decode()}", known.get(b"/v1/indexes", name + b": /livez")
    for value in (
        b"bytes=0-",
        b"bytes=-1",
        b"bytes=9999999999999999999999-",
        b"bytes=0-0,1-1,2-2",
        b"lines=1",
        b"x",
    ):
        yield f"range {value!r}", known.get(b"/static/byline.css", b"Range: " + value)
    for value in (b"x", b'W/"', b"*", b'"' + b"a" * 5000 + b'"', b"Thu, 99 Foo 9999 99:99:99 GMT"):
        yield (
            f"conditions {value[:12]!r}",
            known.get(
                b"/static/byline.css",
                b"If-None-Match: " + value,
                b"If-Modified-Since: " + value,
                b"If-Range: " + value,
            ),
        )
    for value in (b"gzip;q=NaN", b"*/*;q=1e999", b"," * 5000, b"text/html;q=\xff"):
        yield f"accepts {value[:12]!r}", known.get(b"/", b"Accept: " + value, b"Accept-Encoding: " + value)


ADDRESSES = (
    b"", b"*", b"//", b"/%00", b"/livez%00", b"/%", b"/%2", b"/%zz", b"/%c0%ae%c0%ae/", b"/%u0041", b"/\xff\xfe",
    b"/..", b"/../../etc/passwd", b"/static/..%2f..%2fapp.py", b"/static/..%5c..%5capp.py", b"/static/%2e%2e/app.py",
    b"/static/....//app.py", b"/static//etc/passwd", b"/static/%00.css", b"/static/.", b"/static/", b"/static",
    b"/static/" + b"a" * 300, b"/static/" + b"a/" * 3000, b"/static/a\x00b", b"/static/nul", b"/static/CON",
    b"//livez", b"/livez/", b"/LIVEZ", b"/livez;x=1", b"/livez?", b"/livez#x", b"/livez??a=b", b"/livez?%",
    b"/v1//indexes", b"/v1/indexes/", b"/v1/indexes//", b"/v1/indexes/%2e%2e", b"/v1/indexes/%2f", b"/v1/./indexes",
    b"/v1/indexes/%0d%0aX-Injected:%201", b"/v1/indexes/%ff", b"/v1/indexes/%ed%a0%80", b"/v1/indexes/" + b"a" * 60_000,
    b"/v1/indexes?" + b"&".join(b"a=%d" % n for n in range(5000)), b"http://localhost/livez", b"http://evil.example/",
    b"http://[", b"http://[::1", b"https://localhost:99999/livez", b"javascript:alert(1)", b"localhost:80", b"livez",
    b"/livez HTTP/1.1", b"/livez\t", b"/ livez", b"/v1/indexes\x00", b"/openapi.json%20", b"/docs/../v1/indexes",
)  # fmt: skip


def _addresses(known: Known) -> Iterator[tuple[str, bytes]]:
    index = known.index.encode()
    for address in ADDRESSES:
        yield f"address {address[:40]!r}", known.get(address)
    for value in (b"NaN", b"1e999", b"-1", b"0", b"1.5", b"", b"%00", b"%ff", b"1" * 5000, b"%F0%9F%98%80", b"1&limit=2",
                  b"\xff", b"%ed%a0%80", b"[]", b"null", b"0x1", b"1_000", b"\xd9\xa1", b"%2b1", b"1%20"):  # fmt: skip
        yield f"limit {value[:12]!r}", known.get(b"/v1/indexes/" + index + b"/examples?limit=" + value)
    for value in (b"", b"=", b"====", b"A", b"%00", b"%ff", b"MDEyOjE", b"Oi0x", b"OjE", b"Ojk5OTk5OTk5OTk5OTk5OTk5",
                  b"OsKy", b"a" * 400, b"a" * 401, b"\xff", b"%F0%9F%98%80", b"-_-_", b"MTo=", b"&after=A"):  # fmt: skip
        for listed in (b"examples", b"owners", b"self-influence"):
            path = b"/v1/indexes/" + index + b"/" + listed + b"?after=" + value
            yield f"cursor of {listed.decode()} {value[:12]!r}", known.get(path)
    for value in (b"%00", b"%ff", b"../x", b"a/b/c", b"%2f%2f", b"a" * 60_000, b"%ed%a0%80", b"%0a", b"'%20OR%201=1--",
                  b"%25s%25n", b"$%7b7*7%7d", b"{{7*7}}"):  # fmt: skip
        yield f"example {value[:12]!r}", known.get(b"/v1/indexes/" + index + b"/examples/" + value)


def _bodies(known: Known) -> Iterator[tuple[str, bytes]]:
    for name, body in json_bodies(known.query).items():
        for asked in (b"attributions", b"shares"):
            path = b"/v1/indexes/" + known.index.encode() + b"/" + asked
            yield f"{asked.decode()}: {name}", known.post(path, body)
    for name, body in tensor_bodies().items():
        yield f"safetensors: {name}", known.post(known.ask, body, kind=SAFETENSORS)
    body = _body(known)
    for kind in (b"", b"text/plain", b"application/json; charset=utf-16", b"application/JSON", b"multipart/form-data",
                 b"application/json\x00", b"\xff", b"application/x-www-form-urlencoded", b"a" * 9000,
                 b"application/json; boundary=" + b"x" * 100, b"*/*", b"application/vnd.safetensors"):  # fmt: skip
        yield f"content type {kind[:16]!r}", known.post(known.ask, body, kind=kind)
    for coding in (b"gzip", b"deflate", b"br", b"identity", b"x", b"gzip, gzip"):
        yield f"content coding {coding!r}", known.post(known.ask, body, b"Content-Encoding: " + coding)
    for value in (
        b"",
        b" ",
        b"a" * 5000,
        b"\xff",
        b"a\0b",
        b"../..",
        b"'; DROP TABLE keys;--",
        b"%00",
        b"\xed\xa0\x80",
    ):
        yield f"idempotency key {value[:12]!r}", known.post(known.ask, body, b"Idempotency-Key: " + value)


def json_bodies(query: bytes) -> dict[bytes | str, bytes]:
    """List bodies that are not JSON, or are excessive JSON."""
    huge = b"1" + b"0" * 400
    return {
        "empty": b"",
        "NaN": b'{"feature": [NaN]}',
        "infinity": b'{"feature": [-Infinity]}',
        "1e999": b'{"feature": [1e999]}',
        "1e999 as k": b'{"query": ' + query + b', "k": 1e999}',
        "huge k": b'{"query": ' + query + b', "k": ' + huge + b"}",
        "k beyond 64 bits": b'{"query": ' + query + b', "k": 9223372036854775808}',
        "largest k": b'{"query": ' + query + b', "k": 9223372036854775807}',
        "huge groups": b'{"query": ' + query + b', "drill_groups": 9223372036854775807}',
        "huge owners_limit": b'{"query": '
        + query
        + b', "shares": true, "owners_limit": 9223372036854775807}',
        "deep list": b'{"query": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "deep object": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        "unclosed": b"[" * 100_000,
        "lone surrogate": b'{"query": {"\\ud800": "\\udc00\\ud800"}}',
        "lone surrogate as target": b'{"query": ' + query + b', "target": "\\ud800"}',
        "lone surrogate in a filter": b'{"query": ' + query + b', "filter": {"owner": ["\\udfff"]}}',
        "zero byte in a filter": b'{"query": ' + query + b', "filter": {"owner": ["a\\u0000b"]}}',
        "attributes": b'{"query": ' + query + b', "filter": {"attributes": {"a": {"b": [1]}}}}',
        "attributes of quotes": b'{"query": ' + query + b', "filter": {"attributes": {"a\\"]\'": "x"}}}',
        "attributes of floats": b'{"query": ' + query + b', "filter": {"attributes": {"a": 1e308}}}',
        "invalid UTF-8": b'{"query": {"text": "\xff\xfe\xed\xa0\x80"}}',
        "UTF-16": '{"query": 1}'.encode("utf-16"),
        "UTF-32": '{"query": 1}'.encode("utf-32"),
        "zero bytes": b"\0" * 100,
        "many keys": json.dumps({str(n): n for n in range(20_000)}).encode(),
        "a key twice": b'{"query": ' + query + b', "query": ' + query + b"}",
        "many numbers": json.dumps({"feature": [1.0] * 100_000}).encode(),
        "comments": b'{"query": /* x */ ' + query + b"}",
        "two documents": b'{"query": ' + query + b"}{}",
        "prototype": b'{"query": ' + query + b', "__proto__": {"k": 1}, "constructor": 1}',
        "entities": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        "pickle": b"cos\nsystem\n(S'id'\ntR.",
    }


def tensor_bodies() -> dict[str, bytes]:
    """Bodies whose safetensors header lies."""

    def written(header: object, data: bytes = b"\0" * 64) -> bytes:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + data

    def tensor(dtype: object = "F32", shape: object = (16,), offsets: object = (0, 64)) -> dict[str, object]:
        return {"dtype": dtype, "shape": shape, "data_offsets": offsets}

    twice = b'{"a":{"dtype":"F32","shape":[16],"data_offsets":[0,64]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    return {
        "nothing": b"",
        "a length alone": struct.pack("<Q", 8),
        "a length of everything": struct.pack("<Q", 2**64 - 1) + b"{}",
        "a length of 100 MB": struct.pack("<Q", 100_000_000) + b"{}",
        "a negative length": struct.pack("<q", -1) + b"{}",
        "no JSON": written(b"\xff" * 32),
        "a list": written([]),
        "deep JSON": written(b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
        "NaN": written(b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,64]}}'),
        "one name twice": written(twice),
        "overlapping": written({"a": tensor(), "b": tensor()}),
        "a gap": written({"a": tensor(shape=(4,), offsets=(0, 16)), "b": tensor(shape=(4,), offsets=(48, 64))}),
        "offsets outside": written({"a": tensor(offsets=(0, 1 << 40))}),
        "offsets backwards": written({"a": tensor(offsets=(64, 0))}),
        "negative offsets": written({"a": tensor(offsets=(-64, 0))}),
        "offsets of text": written({"a": tensor(offsets=("0", "64"))}),
        "offsets that overflow": written({"a": tensor(offsets=(2**64 - 64, 2**64))}),
        "one offset": written({"a": tensor(offsets=(0,))}),
        "a shape that overflows": written({"a": tensor(shape=(2**32, 2**32, 2**32))}),
        "a shape that wraps to 16": written({"a": tensor(shape=(2**63, 2, 16))}),
        "a negative shape": written({"a": tensor(shape=(-16,))}),
        "a shape of nothing": written({"a": tensor(shape=(0,), offsets=(0, 0))}, b""),
        "a thousand axes": written({"a": tensor(shape=[1] * 1000, offsets=(0, 4))}, b"\0" * 4),
        "an unknown type": written({"a": tensor(dtype="F17")}),
        "a type of numbers": written({"a": tensor(dtype=7)}),
        "half bytes": written({"a": tensor(dtype="F4", shape=(128,))}),
        "complex": written({"a": tensor(dtype="C64", shape=(8,))}),
        "a narrower type": written({"a": tensor(dtype="F8_E4M3", shape=(64,))}),
        "an unnamed tensor": written({"": tensor()}),
        "a tensor called metadata": written({"__metadata__": tensor()}),
        "metadata of numbers": written({"__metadata__": {"a": 1}, "a": tensor()}),
        "a name with a zero": written({"a\0b": tensor()}),
        "a name of a surrogate": written(b'{"\\ud800":{"dtype":"F32","shape":[16],"data_offsets":[0,64]}}'),
        "a long name": written({"a" * 10_000: tensor()}),
        "many tensors": written({str(n): tensor(shape=(0,), offsets=(0, 0)) for n in range(20_000)}, b""),
        "a zip of torch": b"PK\x03\x04" + b"\0" * 60,
        "a pickle": b"\x80\x04\x95" + b"\0" * 60,
    }  # fmt: skip


def _connections(known: Known) -> Iterator[tuple[str, ...] | tuple[str, bytes]]:
    one = known.head(b"GET", b"/livez")
    last = known.get(b"/livez")
    yield "ten in a row at once", one * 9 + last
    yield "a good one, then garbage", one + b"\xff\xfe\r\n\r\n"
    yield (
        "a bad one, then a good one",
        known.post(known.ask, b"{").replace(b"Connection: close", b"X: 1") + last,
    )
    yield (
        "a refused body, then a good one",
        known.head(b"POST", known.ask, b"Content-Length: 99999999999") + last,
    )
    yield "half a head", one[:20]
    yield "half a body", known.post(known.ask, _body(known))[:-5]
    yield "byte by byte", *(one[i : i + 1] for i in range(len(one)))


def _credentials(known: Known) -> Iterator[tuple[str, bytes]]:
    path = b"/v1/indexes"
    bare = Known(known.index, known.query)
    for value in (
        b"", b"Bearer", b"Bearer ", b"Bearer  x", b"bearer x", b"Basic eDp5", b"Basic \xff", b"Digest x", b"Bearer \xff",
        b"Bearer byl_", b"Bearer byl_" + b"a" * 60_000, b"Bearer byl_\x00", b"Bearer byl_a b", b"Bearer byl_%00",
        b"Bearer x, Bearer y", b"Bearer " + b"\xc3\xa9" * 40, b"Negotiate", b"Bearer null", b"Bearer byl_../../x",
        b"Bearer byl_0123456789abcdef0123456789abcdef0123456789abcd",
    ):  # fmt: skip
        yield f"authorization {value[:24]!r}", bare.get(path, b"Authorization: " + value)
    yield "two authorizations", bare.get(path, b"Authorization: Bearer a", b"Authorization: Bearer b")
    for value in (
        b"", b"=", b";;;;", b"byline_session", b"byline_session=", b"byline_session=\xff", b"byline_session=a; " * 2000,
        b"byline_session=" + b"a" * 30_000, b"byline_session=a.b.c", b"byline_session=%00", b'byline_session="a\\"',
        b"byline_session=e30.e30.e30", b"__Host-byline_session=x", b"a" * 30_000, b"\x00=\x00", b"$Version=1",
    ):  # fmt: skip
        for asked in (path, b"/"):
            yield f"cookie {value[:24]!r} at {asked.decode()}", bare.get(asked, b"Cookie: " + value)
