"""One object store: reads, writes and deletions of single objects, and what failed, in errors of ours.

This module must not know catalogs, tables, or what is kept on this machine.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Self
from urllib.parse import urlparse

import pyarrow as pa
from pyarrow import fs

from scoter.catalog.objects.access import Access
from scoter.errors import ConfigurationError, CorruptData, ScoterError, Unreachable

_log = logging.getLogger(__name__)

_CONNECT = 3.0  # seconds until a store that does not accept a connection counts as away
_ATTEMPTS = 3
_OPENED = 4096  # objects whose size is known and that are read without asking for it again

_REFUSED = re.compile(
    r"ACCESS_DENIED|SIGNATURE|ACCESS_KEY|TOKEN|CREDENTIAL|AUTH|HTTP status 40[13]|Forbidden|EXPIRED",
    re.IGNORECASE,
)
_NO_BUCKET = re.compile(r"NO_SUCH_BUCKET|NoSuchBucket|Bucket '[^']*' not found", re.IGNORECASE)
_MISSING = re.compile(r"NO_SUCH_KEY|RESOURCE_NOT_FOUND|HTTP status 404", re.IGNORECASE)


class Store:
    """The objects that one access reaches; a path is ``bucket/key``. Safe for many threads."""

    def __init__(self, access: Access, pool: ThreadPoolExecutor, timeout: float) -> None:
        """Connect on first use; ``timeout`` is how many seconds a request may stand still."""
        self.pool = pool
        self.place = hashlib.sha256(f"{access.endpoint}\0{access.region}".encode()).hexdigest()[:16]
        self.access = access
        self._timeout = timeout
        self._lock = threading.Lock()
        self._made: fs.S3FileSystem | None = None
        self._opened: OrderedDict[str, tuple[pa.NativeFile, int]] = OrderedDict()

    def open(self, path: str) -> pa.NativeFile:
        """Open an object for reading; raises CorruptData for a missing one, and what ``told`` raises."""
        with told():
            return self._files().open_input_file(path)

    def size(self, path: str) -> int:
        """Return an object's bytes; raises as ``open``."""
        return self._handle(path)[1]

    def exists(self, path: str) -> bool:
        """Say whether there is such an object; raises what ``told`` raises."""
        with told():
            return bool(self._files().get_file_info(path).type == fs.FileType.File)

    def read(self, path: str, size: int, offset: int, length: int) -> bytes:
        """Return bytes of an object that must have ``size`` bytes.

        Raises CorruptData for one that is missing or has another size, and what ``told`` raises.
        """
        handle, there = self._handle(path)
        if there != size:
            self._forget(path)
            raise CorruptData("a data file of the table has another size than the table's metadata says")
        try:
            with told():
                read = handle.read_at(length, offset)
        except ScoterError:
            self._forget(path)
            raise
        if len(read) != length:
            self._forget(path)
            raise CorruptData("a data file of the table is shorter than the table's metadata says")
        return bytes(read)

    def create(self, path: str) -> Writing:
        """Begin an object, which appears when what is returned is closed; raises what ``told`` raises."""
        with told():
            return Writing(self._files().open_output_stream(path))

    def delete(self, path: str) -> None:
        """Delete an object; raises what ``told`` raises."""
        self._forget(path)
        with told():
            self._files().delete_file(path)

    def _files(self) -> fs.S3FileSystem:
        with self._lock:
            if self._made is None:
                self._made = self._connect()
            return self._made

    def _connect(self) -> fs.S3FileSystem:
        url = urlparse(self.access.endpoint)
        return fs.S3FileSystem(
            access_key=self.access.key_id or None,
            secret_key=self.access.secret or None,
            session_token=self.access.token or None,
            anonymous=self.access.anonymous,
            region=self.access.region or None,
            endpoint_override=url.netloc or None,
            scheme=url.scheme or "https",
            force_virtual_addressing=self.access.virtual_host,
            request_timeout=self._timeout,
            connect_timeout=min(_CONNECT, self._timeout),
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
            allow_delayed_open=True,  # a small object is one request then
            check_directory_existence_before_creation=False,
        )

    def _handle(self, path: str) -> tuple[pa.NativeFile, int]:
        with self._lock:
            found = self._opened.get(path)
            if found is not None:
                self._opened.move_to_end(path)
                return found
        handle = self.open(path)
        with told():
            size = handle.size()
        with self._lock:
            self._opened[path] = handle, size
            while len(self._opened) > _OPENED:
                self._opened.popitem(last=False)
        return handle, size

    def _forget(self, path: str) -> None:
        with self._lock:
            self._opened.pop(path, None)


class Writing:
    """An object that is being written; closed without an error it is there."""

    def __init__(self, stream: pa.NativeFile) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int:
        """Write more bytes; raises what ``told`` raises."""
        with told():
            return int(self._stream.write(data) or len(data))

    def close(self) -> None:
        """Finish the object; raises what ``told`` raises. Idempotent."""
        with told():
            self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def told() -> Iterator[None]:
    """Turn what pyarrow raises about an object store into an error of ours; the log has its words.

    Raises CorruptData for a missing object, ConfigurationError for refused credentials or a bucket that
    does not exist, Unreachable for everything else.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise _missing() from error
    except (OSError, pa.ArrowException) as error:
        text = str(error)
        _log.warning("an object store answered: %s", text[:500])
        if _NO_BUCKET.search(text):
            raise ConfigurationError("the bucket of the table's files does not exist") from error
        if isinstance(error, PermissionError) or _REFUSED.search(text):
            raise ConfigurationError(
                "the object store refused the credentials, or they may not do this",
                hint="see the catalog's settings s3",
            ) from error
        if _MISSING.search(text):
            raise _missing() from error
        raise Unreachable(
            "the object store of the table's files does not answer", hint="try again"
        ) from error


def _missing() -> CorruptData:
    return CorruptData("a file of the table is missing from the object store")
