#!/bin/sh
# What the tests need beside Python packages: Chromium for the report, PostgreSQL's server and strace for the ledger, Go
# for proofs of the ledger, DCMTK and Orthanc for the transport of images, and the peer libraries in an environment of
# their own.
set -eu
cd "$(dirname "$0")/.."
if ! command -v chromium >/dev/null 2>&1 || ! command -v chromedriver >/dev/null 2>&1; then
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
        apt-get -qq update
        DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium chromium-driver >/dev/null
    else
        echo "Chromium and its driver are missing: the browser tests will be skipped (install chromium and chromium-driver)" >&2
    fi
fi
if ! command -v strace >/dev/null 2>&1 || ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
        apt-get -qq update
        DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends postgresql strace >/dev/null
    else
        echo "PostgreSQL's server or strace is missing: some tests of the ledger will be skipped (install postgresql and strace)" >&2
    fi
fi
# Go and its package of notes and trees check the ledger's proofs.
if ! command -v go >/dev/null 2>&1 || ! [ -d /usr/share/gocode/src/golang.org/x/mod/sumdb/tlog ]; then
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
        apt-get -qq update
        DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends golang-go golang-golang-x-mod-dev >/dev/null
    elif [ "${CI:-}" = true ]; then
        echo "CI needs Go and golang.org/x/mod (install golang-go and golang-golang-x-mod-dev)" >&2
        exit 1
    else
        echo "Go or golang.org/x/mod is missing: the foreign verifier will be skipped (install golang-go and golang-golang-x-mod-dev)" >&2
    fi
fi
# Without them the tests of transport are skipped; CI fails instead. Services are not started: tests start their own.
if ! command -v dcmcjpls >/dev/null 2>&1 || ! [ -x /usr/sbin/Orthanc ]; then
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
        apt-get -qq update
        DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends dcmtk orthanc >/dev/null
        if command -v service >/dev/null 2>&1; then
            service orthanc stop >/dev/null 2>&1 || true
        fi
    elif [ "${CI:-}" = true ]; then
        echo "CI needs DCMTK and Orthanc (install dcmtk and orthanc)" >&2
        exit 1
    else
        echo "DCMTK or Orthanc is missing: tests of transport will be skipped (install dcmtk and orthanc)" >&2
    fi
fi
# Brings axe-core, which judges accessibility; its own dependencies are not needed.
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps axe-playwright-python==0.1.8
if [ -f tests/peers/install.sh ]; then
    sh tests/peers/install.sh
fi
