"""Where things stand in the checkout. Nothing else in `local` spells a path from the root."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache"
BUILD = ROOT / "build"
VENDOR = BUILD / "vendor"
CLOUD_ASSEMBLY = ROOT / "cdk.out" / "local"
LOCK = ROOT / "uv.lock"
