"""`dsvc://REV/path` for fsspec: files of commits are read without a checkout."""

from dsvc.filesystem.spec import DsvcFileSystem

__all__ = ["DsvcFileSystem"]
