"""The files that a check looks at: those of the checkout, or a made-up few in a self-test."""
import fnmatch
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SKIPPED_FOLDERS = {".git", "build", "__pycache__", ".cache"}
CODE = (".cpp", ".hpp", ".c", ".h")


class Tree:
    """Paths relative to the top, and their texts. Binary files are there, but read as empty."""

    def __init__(self, texts=None):
        self.texts = dict(texts) if texts is not None else {}
        self.real = texts is None
        self.files = sorted(self._list() if self.real else self.texts)
        self.known = set(self.files)
        for name in self.files:
            self.known.update(str(parent) for parent in Path(name).parents)

    @staticmethod
    def _list():
        """What git would commit; a copied tree without .git is walked."""
        git = subprocess.run(
            ["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"],
            capture_output=True, text=True, check=False) if (ROOT / ".git").exists() else None
        if git and git.returncode == 0:
            return [name for name in git.stdout.splitlines() if (ROOT / name).is_file()]
        found = []
        for folder, folders, names in os.walk(ROOT):
            folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS]
            found += [str((Path(folder) / name).relative_to(ROOT)) for name in names]
        return found

    def text(self, name):
        if name not in self.texts:
            try:
                self.texts[name] = (ROOT / name).read_text(encoding="utf-8")
            except UnicodeDecodeError:
                self.texts[name] = ""
        return self.texts[name]

    def lines(self, name):
        return enumerate(self.text(name).splitlines(), 1)

    def ending(self, *suffixes):
        return [name for name in self.files if name.endswith(suffixes)]

    def exists(self, name):
        """A file or folder; `name` may hold wildcards."""
        name = os.path.normpath(name)
        return name in self.known or any(fnmatch.fnmatch(each, name) for each in self.known)

    def executable(self, name):
        return not self.real or os.access(ROOT / name, os.X_OK)


def self_test(check, good, *bad):
    """A check that finds nothing in bad samples is worth nothing. Each maps paths to texts."""
    problems = [f"self-test: a good sample was refused: {each}" for each in check(Tree(good))]
    missed = [sample for sample in bad if not check(Tree(sample))]
    problems += [f"self-test: nothing found in {sample}" for sample in missed]
    return problems


def main(check, tests):
    """Runs a check by itself: its self-test, then the tree."""
    problems = self_test(check, *tests) or check(Tree())
    print("\n".join(problems) if problems else "nothing found")
    sys.exit(1 if problems else 0)
