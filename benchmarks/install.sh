#!/bin/sh
# Adds to the environment of the peers those that only the benchmarks need: AutoAttack, CleverHans and adv-lib.
# As there, nothing brings its dependencies along; what it imports is named here.
set -eu
cd "$(dirname "$0")/.."
sh tests/peers/install.sh
target=.venv-peers
stamp="$target/.benchmarks-$(cksum <benchmarks/install.sh | cut -d' ' -f1)"
[ -e "$stamp" ] && exit 0
install() { "$target/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile --no-deps "$@"; }
install \
    pyautoattack==0.2.0 \
    cleverhans==4.0.0 mnist==0.2.2 \
    adv-lib==0.2.8 \
    absl-py==2.5.1 easydict==1.14 joblib==1.6.0 matplotlib==3.11.2 \
    tornado==6.6.1 jsonpatch==1.47 jsonpointer==3.0.0 websocket-client==1.9.2
# adv-lib imports visdom, which is built without isolation by an older setuptools.
install 'setuptools<81' wheel
install --no-build-isolation visdom==0.2.4
touch "$stamp"
