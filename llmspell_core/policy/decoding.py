"""Bodies as they were before the server compressed them: whole, or an error; all members of a gzip file, in bounded pieces."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from llmspell_core.errors import NetworkError

__all__ = ["ACCEPTED", "Decoder", "decoder"]

ACCEPTED = "gzip, deflate"
PIECE = 1024 * 1024
GZIP = 16 + zlib.MAX_WBITS
GZIP_BEGIN = b"\x1f\x8b"


class Decoder:
    """`feed` what comes, then `end`. Raises: NetworkError."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def end(self) -> None:
        """Nothing more comes. Raises: NetworkError, when something should."""


class _Inflating(Decoder):
    """gzip and deflate."""

    def __init__(self, name: str, url: str) -> None:
        self._name = name
        self._url = url
        self._inner = zlib.decompressobj(GZIP if name == "gzip" else zlib.MAX_WBITS)
        self._begun = self._finished = False
        self._kept = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        data = self._kept + data
        self._kept = b""
        while data:
            if (self._finished or not self._begun) and not self._begin(data):
                return
            try:
                piece = self._inner.decompress(data, PIECE)
            except zlib.error as error:
                raise self._broken(f"damaged ({error})") from None
            if piece:
                yield piece
            self._finished = self._inner.eof
            data = self._inner.unused_data if self._finished else self._inner.unconsumed_tail

    def _begin(self, data: bytes) -> bool:
        """Start on what comes next; False when it is no member, or too little to tell."""
        if self._name == "deflate":
            return self._begin_deflate(data)
        if len(data) < len(GZIP_BEGIN) and GZIP_BEGIN.startswith(data):
            self._kept = data
            return False
        if self._finished:
            if not data.startswith(GZIP_BEGIN):
                return False  # padding behind the last member
            self._inner = zlib.decompressobj(GZIP)
        self._begun, self._finished = True, False
        return True

    def _begin_deflate(self, data: bytes) -> bool:
        """Half of the servers leave out the header that the standard wants."""
        if self._finished:
            return False
        if len(data) < 2:
            self._kept = data
            return False
        if data[0] & 0x0F != 8 or int.from_bytes(data[:2], "big") % 31:
            self._inner = zlib.decompressobj(-zlib.MAX_WBITS)
        self._begun = True
        return True

    def end(self) -> None:
        if (self._begun and not self._finished) or (self._kept and not self._finished):
            raise self._broken("cut off")

    def _broken(self, how: str) -> NetworkError:
        return NetworkError(
            f"the {self._name} body of {self._url} is {how}", hint="Ask again; it may have been broken on its way."
        )


class _Chained(Decoder):
    def __init__(self, first: Decoder, second: Decoder) -> None:
        self._first, self._second = first, second

    def feed(self, data: bytes) -> Iterator[bytes]:
        for piece in self._first.feed(data):
            yield from self._second.feed(piece)

    def end(self) -> None:
        self._first.end()
        self._second.end()


def decoder(header: str, url: str) -> Decoder:
    """For the value of `Content-Encoding`; `url` is for messages. Raises: NetworkError, for a compression nobody asked for."""
    names = [name.strip().lower() for name in header.split(",")]
    found = Decoder()
    for name in names:
        if name in {"", "identity"}:
            continue
        plain = name.removeprefix("x-")
        if plain not in {"gzip", "deflate"} or len(names) > 4:
            raise NetworkError(
                f"the body of {url} is compressed with '{name[:40]}', which was not asked for",
                hint=f"Leave out the header Accept-Encoding, or ask for {ACCEPTED}.",
            )
        found = _Chained(_Inflating(plain, url), found)
    return found
