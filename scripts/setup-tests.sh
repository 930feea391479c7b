#!/bin/sh
# What the tests need beside Python packages: Chromium for the report, PostgreSQL's server and strace for the ledger, Go
# and OpenSSL for its proofs and time tokens, DCMTK and Orthanc for the transport of images, rsyslog for the audit
# trail, pdftotext for the document, and the peer libraries in an environment of their own. What is missing is named:
# its tests are skipped, and fail where CI=true.
set -eu
cd "$(dirname "$0")/.."
missing=""
need() {
    # need TEST PACKAGE...: the packages are wanted unless the test holds.
    if ! sh -c "$1" >/dev/null 2>&1; then
        shift
        missing="$missing $*"
    fi
}
need "command -v chromium && command -v chromedriver" chromium chromium-driver
need "ls /usr/lib/postgresql/*/bin/initdb" postgresql
need "command -v strace" strace
need "command -v go && test -d /usr/share/gocode/src/golang.org/x/mod/sumdb/tlog" golang-go golang-golang-x-mod-dev
need "command -v openssl" openssl
need "command -v pdftotext" poppler-utils
need "command -v dcmcjpls && test -x /usr/sbin/Orthanc" dcmtk orthanc
need "command -v rsyslogd && ls /usr/lib/*/rsyslog/lmnsd_ossl.so" rsyslog rsyslog-openssl
if [ -n "$missing" ]; then
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
        # Services are not started for good: tests start their own.
        apt-get -qq update
        # shellcheck disable=SC2086 - a list of words
        DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing >/dev/null
        for each in orthanc rsyslog; do
            if command -v service >/dev/null 2>&1; then
                service "$each" stop >/dev/null 2>&1 || true
            fi
        done
    else
        echo "Some tests will be skipped (install$missing)" >&2
        [ "${CI:-}" != true ] || exit 1
    fi
fi
# Brings axe-core, which judges accessibility; its own dependencies are not needed.
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps axe-playwright-python==0.1.8
if [ -f tests/peers/install.sh ]; then
    sh tests/peers/install.sh
fi
