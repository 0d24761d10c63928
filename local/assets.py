"""File assets: zipped the same way every time, kept by content hash, uploaded to the bootstrap bucket."""

import importlib.util
import marshal
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

from local.assembly import Assembly, FileAsset
from local.paths import CACHE

_EPOCH = (1980, 1, 1, 0, 0, 0)
_HEADER = importlib.util.MAGIC_NUMBER + (0b01).to_bytes(4, "little")  # bytecode with a hash that nobody checks


def upload(assembly: Assembly, *, s3: Any, region: str) -> int:
    """Put every asset where the templates look for it; returns the number of bytes sent."""
    sent = 0
    for bucket in sorted({asset.bucket for asset in assembly.assets}):
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=bucket, **place)
    for asset in assembly.assets:
        body = _zipped(asset).read_bytes() if asset.zipped else asset.source.read_bytes()
        s3.put_object(Bucket=asset.bucket, Key=asset.key, Body=body)
        sent += len(body)
    return sent


def _zipped(asset: FileAsset) -> Path:
    # The key of an asset is the fingerprint of its content, so a zip once made stays right for it.
    if asset.source.is_file():
        return asset.source
    kept = CACHE / "assets" / f"{Path(asset.key).stem}-{sys.implementation.cache_tag}.zip"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        making = kept.with_suffix(f".{os.getpid()}.part")
        zip_directory(asset.source, making)
        making.replace(kept)
    return kept


def zip_directory(source: Path, target: Path) -> None:
    """Zip a directory byte for byte the same whenever its content is the same, with bytecode for its modules.

    Stored, not compressed: it travels over loopback and every worker process unpacks it. The bytecode is what the
    running interpreter, which is also the one that runs the functions here, would compile at each of those starts.
    """
    names = {
        path.relative_to(source).as_posix(): path
        for path in sorted(source.rglob("*"))
        if path.is_file() and not _is_stale_bytecode(path)
    }
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, path in names.items():
            _add(archive, name, path.read_bytes(), mode=path.stat().st_mode & 0o777)
            if path.suffix == ".py" and _bytecode_name(name) not in names:
                _add_bytecode(archive, _bytecode_name(name), name, path.read_bytes())


def _is_stale_bytecode(path: Path) -> bool:
    if path.suffix != ".pyc":
        return False
    with path.open("rb") as file:
        return file.read(8) != _HEADER


def _add(archive: zipfile.ZipFile, name: str, body: bytes, *, mode: int) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.external_attr = (0o100000 | mode) << 16
    archive.writestr(entry, body)


def _add_bytecode(archive: zipfile.ZipFile, compiled: str, name: str, source: bytes) -> None:
    try:
        code = compile(source, name, "exec", dont_inherit=True)
    except SyntaxError:
        return  # for another Python; the one that imports it will say so
    _add(archive, compiled, _HEADER + importlib.util.source_hash(source) + marshal.dumps(code), mode=0o644)


def _bytecode_name(name: str) -> str:
    folder, _, file = name.rpartition("/")
    compiled = f"__pycache__/{file.removesuffix('.py')}.{sys.implementation.cache_tag}.pyc"
    return f"{folder}/{compiled}" if folder else compiled
