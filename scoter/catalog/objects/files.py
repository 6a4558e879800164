"""Objects as pyiceberg's files: opened for reading and writing, and deleted.

This module must not know which access opens a location.
"""

from __future__ import annotations

from typing import IO, Any, Self, cast

from pyiceberg.io import FileIO, InputFile, OutputFile

from scoter.catalog.objects.access import object_path
from scoter.catalog.objects.reading import Object, Reading
from scoter.catalog.objects.store import Store
from scoter.errors import ScoterError


class ObjectIO(FileIO):
    """Opens the objects of one store."""

    def __init__(self, store: Store, reading: Reading) -> None:
        super().__init__({})
        self.store = store
        self._reading = reading

    def new_input(self, location: str) -> ObjectInput:
        """Return the object at a location, to be read."""
        return ObjectInput(location, self.store, self._reading)

    def new_output(self, location: str) -> ObjectOutput:
        """Return the object at a location, to be written."""
        return ObjectOutput(location, self.store, self._reading)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Delete an object; raises OSError where that fails."""
        path = object_path(location if isinstance(location, str) else location.location)
        try:
            self.store.delete(path)
        except ScoterError as error:
            raise OSError("an object could not be deleted") from error


class _Stored:
    """What is known of an object, be it read or written."""

    location: str

    def __init__(self, location: str, store: Store, reading: Reading) -> None:
        super().__init__(location)  # type: ignore[call-arg]  # what stands behind it is a class of pyiceberg
        self._store = store
        self._reading = reading

    def __len__(self) -> int:
        """Return the object's bytes; raises CorruptData for a missing one, and as the store does."""
        return self._store.size(object_path(self.location))

    def exists(self) -> bool:
        """Say whether the object is there; raises as the store does."""
        return self._store.exists(object_path(self.location))


class ObjectInput(_Stored, InputFile):
    """An object that is read."""

    def open(self, seekable: bool = True) -> Any:  # noqa: ARG002  # every object can be read at any place
        """Open the object; raises CorruptData for a missing one, and as the store does."""
        return self._store.open(object_path(self.location))

    def through_cache(self) -> IO[bytes]:
        """Open a data file, whose bytes never change, through the cache; raises as ``open``."""
        path = object_path(self.location)
        return cast("IO[bytes]", Reader(self._reading, Object(self._store, path, self._store.size(path))))


class ObjectOutput(_Stored, OutputFile):
    """An object that is written."""

    def to_input_file(self) -> ObjectInput:
        """Return the same object, to be read."""
        return ObjectInput(self.location, self._store, self._reading)

    def create(self, overwrite: bool = False) -> Any:
        """Begin the object; raises FileExistsError where it exists and may not be overwritten."""
        path = object_path(self.location)
        if not overwrite and self._store.exists(path):
            raise FileExistsError("the object exists")
        return self._store.create(path)


class Reader:
    """A place in an object, as Python's files have it."""

    closed = False
    mode = "rb"

    def __init__(self, reading: Reading, source: Object) -> None:
        self._reading = reading
        self._source = source
        self._at = 0

    def read(self, length: int = -1) -> bytes:
        """Return the next bytes, all for -1; raises as `Reading.read`."""
        rest = self._source.size - self._at
        wanted = rest if length < 0 else length
        data = self._reading.read(self._source, self._at, wanted, self._cancelled)
        self._at += len(data)
        return data

    def _cancelled(self) -> bool:
        return False

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a place and return it."""
        self._at = offset + (0, self._at, self._source.size)[whence]
        return self._at

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def readable(self) -> bool:
        """Say yes."""
        return True

    def writable(self) -> bool:
        """Say no."""
        return False

    def flush(self) -> None:
        """Do nothing: nothing is written."""

    def close(self) -> None:
        """End its use."""
        self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
