"""The `.dsvcignore` that a new repository starts with."""

from __future__ import annotations

DEFAULT_IGNORE = """\
# What dsvc leaves out of commits in this folder and below. The grammar is that of .gitignore;
# .gitignore files count too, and lines in this file win over those in the .gitignore beside it.
# `dsvc check-ignore -v PATH` tells which line decides. Edit freely: this file is yours.

# Virtual environments: dsvc records the packages and their versions instead of the files.
.venv/
venv/
.virtualenv/
.conda/
.pixi/
.tox/
.nox/
node_modules/

# Made again by the tools that wrote them.
__pycache__/
*.py[cod]
*.egg-info/
.eggs/
.pytest_cache/
.mypy_cache/
.ruff_cache/
.hypothesis/
.pytype/
.pyre/
.coverage
.coverage.*
htmlcov/
.ipynb_checkpoints/
.cache/

# Settings of one machine, often with passwords and tokens. A commit is for ever and goes wherever
# the repository is pushed; .env.example is the place for the names without their values.
.env
.env.*
!.env.example

# Private keys and credentials, for the same reason. Public halves (*.pub) are kept. Names that are often
# harmless, such as *.pem and *.key, are judged by content: a commit with a new private key in it stops and says so.
*.p12
*.pfx
*.ppk
*.jks
*.keystore
id_rsa
id_dsa
id_ecdsa
id_ecdsa_sk
id_ed25519
id_ed25519_sk
.netrc
.pypirc
.pgpass
.aws/credentials
.kaggle/kaggle.json

# Litter of operating systems and file servers.
.DS_Store
.AppleDouble
._*
.Spotlight-V100
.Trashes
Thumbs.db
ehthumbs.db
desktop.ini
$RECYCLE.BIN/
.directory
.Trash-*
.nfs*
.fuse_hidden*

# What editors leave beside the files they have open.
*~
.*.sw[a-p]
\\#*#
.\\#*
.~lock.*#
~$*
"""
