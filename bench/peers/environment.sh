#!/bin/sh
# A Python environment with the peers' packages in folder $1. pip takes the index and the wheels it is configured for
# (pip config, PIP_INDEX_URL, PIP_EXTRA_INDEX_URL); a CPU build of torch is enough. Then: export REASONREC_PYTHON=$1/bin/python
set -eu
[ $# -eq 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
"${PYTHON:-python3}" -m venv "$1"
"$1/bin/pip" install --quiet numpy scipy torch transformers peft accelerate datasets trl
"$1/bin/python" -c 'import torch, transformers, peft, trl; print("torch", torch.__version__, "transformers", transformers.__version__, "peft", peft.__version__, "trl", trl.__version__)'
