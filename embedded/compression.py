"""HTTP body compression as streams: the encodings ClickHouse and its clients share."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol, cast

import lz4.frame  # type: ignore[import-untyped]
import zstandard

from embedded.errors import ClickHouseError, not_implemented


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: bytes, /) -> bytes: ...


class _Lz4Compressor:
    """lz4's frame compressor wants an explicit begin."""

    def __init__(self) -> None:
        self._frame = lz4.frame.LZ4FrameCompressor()
        self._head = cast(bytes, self._frame.begin())

    def compress(self, data: bytes, /) -> bytes:
        head, self._head = self._head, b""
        return head + cast(bytes, self._frame.compress(data))

    def flush(self) -> bytes:
        head, self._head = self._head, b""
        return head + cast(bytes, self._frame.flush())


# Level 3 is ClickHouse's own http_zlib_compression_level; order is preference, cheapest first.
_COMPRESSORS: dict[str, Callable[[], _Compressor]] = {
    "lz4": _Lz4Compressor,
    "zstd": lambda: zstandard.ZstdCompressor(level=1).compressobj(),
    "gzip": lambda: zlib.compressobj(3, wbits=31),
    "deflate": lambda: zlib.compressobj(3),
}
_DECOMPRESSORS: dict[str, Callable[[], _Decompressor]] = {
    "lz4": lambda: cast(_Decompressor, lz4.frame.LZ4FrameDecompressor()),
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj(),
    "gzip": lambda: zlib.decompressobj(wbits=31),
    "deflate": zlib.decompressobj,
}


def choose(accepted: str) -> str | None:
    """The encoding to answer with.

    Args:
        accepted: the request's Accept-Encoding.

    Returns:
        The cheapest one both sides have, or None for plain.
    """
    offered = [entry.partition(";") for entry in accepted.lower().split(",")]
    names = {name.strip() for name, _, weight in offered if weight.strip() not in ("q=0", "q=0.0")}
    return next((name for name in _COMPRESSORS if name in names), None)


def compress(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Compress a stream; closing it closes `chunks`.

    Args:
        chunks: plain data.
        encoding: one that `choose` named.
    """
    packer = _COMPRESSORS[encoding]()
    try:
        for chunk in chunks:
            yield packer.compress(chunk)
    except Exception:
        # The reason for breaking off is in the last chunk; it has to get out before.
        yield packer.flush()
        raise
    yield packer.flush()


def decompress(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Expand a request body, also one made of several frames.

    Args:
        chunks: data as it came.
        encoding: the request's Content-Encoding.

    Raises:
        ClickHouseError: an encoding this daemon has not, or broken or cut-off data.
    """
    make = _DECOMPRESSORS.get(encoding)
    if make is None:
        known = ", ".join(_DECOMPRESSORS)
        raise not_implemented(f"Content-Encoding {encoding} is not supported; use one of {known}")
    return _expand(chunks, encoding, make)


def _expand(
    chunks: Iterator[bytes], encoding: str, make: Callable[[], _Decompressor]
) -> Iterator[bytes]:
    unpacker: _Decompressor | None = None
    try:
        for chunk in chunks:
            data: bytes = chunk
            while data:
                unpacker = unpacker or make()
                yield unpacker.decompress(data)
                data = b""
                if unpacker.eof:
                    data, unpacker = unpacker.unused_data or b"", None
    except (zlib.error, zstandard.ZstdError, RuntimeError) as error:
        message = f"Cannot decompress {encoding} body: {error}"
        raise ClickHouseError(271, "CANNOT_DECOMPRESS", message) from error
    if unpacker is not None:
        raise ClickHouseError(271, "CANNOT_DECOMPRESS", f"The {encoding} body ends too early")
