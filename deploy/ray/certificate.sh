#!/bin/sh
# A certificate of this machine, of the cluster's own authority: Ray checks that it names the address it connects to, so
# each machine needs one of its own.  certificate.sh AUTHORITY TARGET ADDRESS...
# AUTHORITY has ca.crt and ca.key; tls.crt, tls.key and ca.crt are written to TARGET. Made once, on a safe machine:
#   openssl req -x509 -newkey rsa:3072 -nodes -days 3650 -subj "/CN=avjury cluster" -keyout ca.key -out ca.crt
#   openssl rand -hex 32 > ray.token
set -eu
authority=$1 target=$2
shift 2
# shellcheck disable=SC2046 # a word for each address
[ $# -gt 0 ] || set -- $(hostname -I)
names="DNS:localhost,IP:127.0.0.1"
for address in "$@"; do names="$names,IP:$address"; done
umask 077
mkdir -p "$target"
openssl req -newkey rsa:3072 -nodes -subj "/CN=avjury node" -keyout "$target/tls.key" -out "$target/tls.csr" 2> /dev/null
printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$names" > "$target/tls.extensions"
openssl x509 -req -in "$target/tls.csr" -CA "$authority/ca.crt" -CAkey "$authority/ca.key" -CAcreateserial \
  -CAserial "$target/tls.serial" -days 397 -sha256 -extfile "$target/tls.extensions" -out "$target/tls.crt" 2> /dev/null
cp "$authority/ca.crt" "$target/ca.crt"
rm -f "$target/tls.csr" "$target/tls.extensions" "$target/tls.serial"
