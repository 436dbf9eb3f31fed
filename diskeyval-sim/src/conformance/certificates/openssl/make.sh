#!/usr/bin/env bash
# Makes the certificates and keys of this folder, with openssl 3. For tests only: the keys are in the open.
# Dates are far off, so that the files stay what they are. What is here is replaced, all of it.
set -euo pipefail
cd "$(dirname "$0")"
rm -f ./*.pem ./*.in

conf=$(mktemp -d)
trap 'rm -rf "$conf"' EXIT
cat >"$conf/ca.cnf" <<CNF
[ca]
default_ca = ours
[ours]
new_certs_dir = $conf
database = $conf/index
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
organizationName = optional
commonName = optional
[plain]
basicConstraints = CA:FALSE
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[uri]
subjectAltName = URI:spiffe://diskeyval/node-1
extendedKeyUsage = serverAuth,clientAuth
[wildcard]
subjectAltName = DNS:*.example.org
[address]
subjectAltName = IP:127.0.0.1
[two]
subjectAltName = URI:spiffe://diskeyval/node-1,URI:spiffe://diskeyval/node-2
[server]
subjectAltName = URI:spiffe://diskeyval/node-1
extendedKeyUsage = serverAuth
CNF
touch "$conf/index"

key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }
key "$conf/ca.key"
request() { openssl req -new -key "$1" -subj "$2" -config <(printf '[req]\ndistinguished_name=d\n[d]\n'); }
request "$conf/ca.key" "/CN=openssl for tests only" >"$conf/ca.csr"
openssl ca -batch -notext -selfsign -config "$conf/ca.cnf" -keyfile "$conf/ca.key" -in "$conf/ca.csr" \
    -extensions authority -startdate 20240101000000Z -enddate 29990101000000Z -out ca.pem 2>/dev/null
# One key for all: what differs is what is said of it.
key leaf.key.pem

issue() { # NAME SUBJECT EXTENSIONS [more]
    name=$1 subject=$2 extensions=$3
    shift 3
    request leaf.key.pem "$subject" >"$conf/$name.csr"
    openssl ca -batch -notext -config "$conf/ca.cnf" -cert ca.pem -keyfile "$conf/ca.key" -in "$conf/$name.csr" \
        -extensions "$extensions" -startdate 20240101000000Z -enddate 29990101000000Z -out "$name.pem" "$@" 2>/dev/null
}
issue cn "/CN=node-1" plain
issue uri "/O=example/CN=somebody" uri
issue wildcard "/CN=node-1" wildcard
issue address "/CN=node-1" address
issue two-names "/CN=node-1" two
issue server-only "/CN=node-1" server
issue expired "/CN=node-1" uri -startdate 20200101000000Z -enddate 20210101000000Z
issue sha1 "/CN=node-1" uri -md sha1

# Two numbers in Rust: the modulus and the secret exponent of a key that is too short, and of one that is not.
rsa() {
    openssl genpkey -quiet -algorithm RSA -pkeyopt "rsa_keygen_bits:$1" -out "$conf/rsa" 2>/dev/null
    openssl pkey -in "$conf/rsa" -noout -text | awk '
        /^modulus:/ || /^privateExponent:/ { name = $1; next }
        /^[a-zA-Z]/ { name = "" }
        name != "" { gsub(/[ :]/, ""); hex[name] = hex[name] $0 }
        END {
            sub(/^00/, "", hex["modulus:"]); sub(/^00/, "", hex["privateExponent:"])
            printf "[\n    \"%s\",\n    \"%s\",\n]\n", hex["modulus:"], hex["privateExponent:"]
        }' >"rsa-$1.in"
}
rsa 1024
rsa 2048
