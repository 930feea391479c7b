#!/bin/sh
# Puts the peer libraries into .venv-peers, apart from everything else, for the tests marked `peers`.
# They are installed without their dependencies, because those would exchange torch for another build. torch, numpy,
# scipy and scikit-learn are borrowed from the project's environment where it has them, else installed.
set -eu
cd "$(dirname "$0")/../.."
target=.venv-peers
lender=${PYTHON:-.venv/bin/python}
command -v "$lender" >/dev/null 2>&1 || lender=python3
stamp="$target/.installed-$(cksum <tests/peers/install.sh | cut -d' ' -f1)"
[ -e "$stamp" ] && exit 0

"$lender" -m venv --clear "$target"
install() { "$target/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile "$@"; }
if "$lender" -c 'import numpy, scipy, sklearn, torch' 2>/dev/null; then
    own=$("$target/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    # A path file comes after the environment's own packages, so nothing borrowed hides what is installed here.
    "$lender" -c 'import torch, pathlib; print(pathlib.Path(torch.__file__).parents[1])' >"$own/borrowed.pth"
else
    install torch==2.13.0
    install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1
fi
install --no-deps \
    adversarial-robustness-toolbox==1.20.1 \
    foolbox==3.3.4 \
    torchattacks==3.5.1 \
    pyautoattack==0.2.0 \
    torchvision==0.28.0 \
    eagerpy==0.30.0 \
    GitPython==3.2.1 gitdb==4.0.12 smmap==5.0.2 \
    requests==2.34.2 urllib3==2.6.2 idna==3.11 certifi==2025.11.12 charset-normalizer==3.4.4 \
    pillow==13.0.0 \
    six==1.17.0 \
    tqdm==4.70.1 \
    typing_extensions==4.16.0
"$target/bin/python" tests/peers/peer_attacks.py --check
touch "$stamp"
