from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from types import TracebackType
from typing import Any, TypeVar, final

__all__ = [
    "clear_label",
    "current_labels",
    "flush",
    "is_running",
    "labels",
    "propagate",
    "set_label",
    "start",
    "stats",
    "stop",
]

__version__: str

_F = TypeVar("_F", bound=Callable[..., Any])

def start(
    *,
    service_name: str | None = ...,
    push: str | Sequence[str] | None = ...,
    hz: int | None = ...,
    wall: bool | None = ...,
    interval: float | str | None = ...,
    memory: bool | int | str | None = ...,
    labels: Mapping[str, object] | None = ...,
    engine: str | None = ...,
    enabled: bool | None = ...,
    signals: str | None = ...,
    inlines: bool | None = ...,
    python_internals: bool | None = ...,
    token: str | None = ...,
    token_file: str | PathLike[str] | None = ...,
    basic_auth: str | None = ...,
    basic_auth_file: str | PathLike[str] | None = ...,
    tenant: str | None = ...,
    otlp_headers_file: str | PathLike[str] | None = ...,
    datadog_key_file: str | PathLike[str] | None = ...,
    trace_ids: bool | None = ...,
    client_cert_file: str | PathLike[str] | None = ...,
    client_key_file: str | PathLike[str] | None = ...,
    ca_file: str | PathLike[str] | None = ...,
    proxy: str | None = ...,
    control: bool | None = ...,
    budget: float | str | None = ...,
    participation: float | str | None = ...,
    pull_token_file: str | PathLike[str] | None = ...,
    exit_timeout: float | str | None = ...,
    file_age: float | str | None = ...,
    file_bytes: int | str | None = ...,
    file_count: int | None = ...,
    spool: str | PathLike[str] | None = ...,
    spool_limit: int | str | None = ...,
    memory_limit: int | str | None = ...,
    symbol_memory_limit: int | str | None = ...,
    max_threads: int | None = ...,
    max_depth: int | None = ...,
    max_label_sets: int | None = ...,
    propagate_executors: bool = ...,
    task_names: bool = ...,
) -> None: ...
def stop() -> None: ...
def flush() -> bytes | None: ...
def stats() -> dict[str, Any]: ...
def is_running() -> bool: ...
@final
class labels:
    def __new__(cls, labels: Mapping[str, object] | None = ..., /, **kwargs: object) -> labels: ...
    def __enter__(self) -> labels: ...
    def __exit__(
        self,
        kind: type[BaseException] | None = ...,
        error: BaseException | None = ...,
        traceback: TracebackType | None = ...,
        /,
    ) -> bool: ...
    def __call__(self, function: _F) -> _F: ...

def set_label(key: str, value: object) -> None: ...
def clear_label(key: str) -> None: ...
def current_labels() -> dict[str, str]: ...
def propagate(function: _F) -> _F: ...
