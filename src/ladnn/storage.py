"""Files by name in a folder or in S3, written whole, and created only where there was none."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ladnn.certificates import fault
from ladnn.errors import ConfigError, DamagedError, UnreachableError
from ladnn.paths import staged

AUTHORITIES = "AWS_CA_BUNDLE"
"""The variable that names the file of further authorities to S3's library."""

_MODE = 0o644  # no secret is in a registry, and more than its owner may look at it
_SILENCE = 15  # seconds that S3 may say nothing


class Taken(Exception):  # noqa: N818  # no failure: somebody else was faster
    """A file of that name is there already."""


class Store:
    """A folder, or a prefix of a bucket, whose files are read and written by relative names."""

    def __init__(self, url: str, endpoint: str = "") -> None:
        """Open a folder or `s3://bucket/prefix`; `endpoint` is of an S3 server not Amazon's.

        Raises ConfigError for an URL of another kind, and for none.
        """
        self.url = url.rstrip("/")
        if not self.url:  # of an empty one files would lie at the root
            raise ConfigError("no store of versions is named: give a folder or s3://bucket/prefix")
        self._local = "://" not in url
        if not self._local and not url.startswith("s3://"):
            raise ConfigError(f"{url} is no store of versions: give a folder or s3://bucket/prefix")
        try:
            import fsspec

            self._files = fsspec.filesystem("file") if self._local else open_s3(endpoint)
        except ImportError as error:
            raise ConfigError(
                f"a store of versions needs {error.name}: pip install 'ladnn[serve]'"
            ) from error

    def names(self, folder: str) -> list[str]:
        """The names of the files directly in `folder`; none where it is not there."""
        with _told(self.url):
            self._files.invalidate_cache()
            path = f"{self.url}/{folder}"
            if not self._files.exists(path):
                return []
            found = self._files.ls(path, detail=False)
        names = (str(name).rstrip("/").rsplit("/", 1)[-1] for name in found)
        return sorted(name for name in names if name and not name.startswith("."))

    def read(self, name: str) -> bytes:
        """The bytes of a file; raises DamagedError where there is none."""
        with _told(self.url):
            return bytes(self._files.cat_file(f"{self.url}/{name}"))

    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all, over an older one of that name."""
        with _told(self.url):
            if self._local:
                path = Path(f"{self.url}/{name}")
                with staged(path, data) as part:
                    part.chmod(_MODE)
                    part.replace(path)
            else:
                self._files.pipe_file(f"{self.url}/{name}", data)

    def create(self, name: str, data: bytes) -> None:
        """Write a file that was not there, whole or not at all; raises Taken when it was."""
        path = f"{self.url}/{name}"
        with _told(self.url):
            try:
                if self._local:
                    with staged(Path(path), data) as part:
                        part.chmod(_MODE)
                        os.link(part, path)
                else:
                    self._files.pipe_file(path, data, mode="create")
            except FileExistsError:
                raise Taken from None


def open_s3(endpoint: str) -> Any:  # noqa: ANN401  # fsspec has no types
    """The files of S3, whose calls come to an end within half a minute when it does not answer.

    Args:
        endpoint: the address of a server other than Amazon's; empty for Amazon's.
    """
    import fsspec

    files = fsspec.filesystem(
        "s3",
        client_kwargs={"endpoint_url": endpoint} if endpoint else {},
        config_kwargs={
            "connect_timeout": 3,
            "read_timeout": _SILENCE,
            "retries": {"max_attempts": 1},  # so that each call is made twice at most
        },
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    files.retries = 1  # of its own, five times what botocore does
    return files


def is_of_s3(error: Exception) -> bool:
    """Whether an error is one that s3fs does not translate: no connection, no credentials."""
    return type(error).__module__.startswith(("botocore", "aiobotocore"))


@contextmanager
def _told(url: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise DamagedError(f"a file of the registry {url} is missing: restore it") from error
    except FileExistsError:
        raise
    except Exception as error:
        if not isinstance(error, OSError) and not is_of_s3(error):
            raise
        reason = fault(error, AUTHORITIES) or getattr(error, "strerror", None) or error
        raise UnreachableError(f"the registry {url} cannot be reached ({reason})") from error
