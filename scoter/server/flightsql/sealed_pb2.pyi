from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Session(_message.Message):
    __slots__ = ("catalog", "schema", "timezone", "statement_timeout", "query_tag")
    CATALOG_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    TIMEZONE_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    QUERY_TAG_FIELD_NUMBER: _ClassVar[int]
    catalog: str
    schema: str
    timezone: str
    statement_timeout: float
    query_tag: str
    def __init__(self, catalog: _Optional[str] = ..., schema: _Optional[str] = ..., timezone: _Optional[str] = ..., statement_timeout: _Optional[float] = ..., query_tag: _Optional[str] = ...) -> None: ...

class Cargo(_message.Message):
    __slots__ = ("inline", "sha256")
    INLINE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    inline: bytes
    sha256: bytes
    def __init__(self, inline: _Optional[bytes] = ..., sha256: _Optional[bytes] = ...) -> None: ...

class Query(_message.Message):
    __slots__ = ("sql", "pins", "session", "parameters")
    SQL_FIELD_NUMBER: _ClassVar[int]
    PINS_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    sql: str
    pins: str
    session: Session
    parameters: Cargo
    def __init__(self, sql: _Optional[str] = ..., pins: _Optional[str] = ..., session: _Optional[_Union[Session, _Mapping[str, object]]] = ..., parameters: _Optional[_Union[Cargo, _Mapping[str, object]]] = ...) -> None: ...

class Finished(_message.Message):
    __slots__ = ("rows",)
    ROWS_FIELD_NUMBER: _ClassVar[int]
    rows: Cargo
    def __init__(self, rows: _Optional[_Union[Cargo, _Mapping[str, object]]] = ...) -> None: ...

class Ticket(_message.Message):
    __slots__ = ("principal", "expires", "query_id", "query", "finished")
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    QUERY_ID_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    principal: str
    expires: int
    query_id: str
    query: Query
    finished: Finished
    def __init__(self, principal: _Optional[str] = ..., expires: _Optional[int] = ..., query_id: _Optional[str] = ..., query: _Optional[_Union[Query, _Mapping[str, object]]] = ..., finished: _Optional[_Union[Finished, _Mapping[str, object]]] = ...) -> None: ...

class Prepared(_message.Message):
    __slots__ = ("principal", "sql", "session", "parameters", "expires")
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    SQL_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    principal: str
    sql: str
    session: Session
    parameters: Cargo
    expires: int
    def __init__(self, principal: _Optional[str] = ..., sql: _Optional[str] = ..., session: _Optional[_Union[Session, _Mapping[str, object]]] = ..., parameters: _Optional[_Union[Cargo, _Mapping[str, object]]] = ..., expires: _Optional[int] = ...) -> None: ...
