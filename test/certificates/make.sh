#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Makes the certificates of the tests anew, beside itself. Every one is signed by ca.pem, but for
# those that say otherwise:
#   server     localhost, 127.0.0.1, ::1
#   other      other.test, and *.wild.test
#   client     for the client's side of a connection
#   expired    localhost, ended in 2011
#   future     localhost, begins in 2090
#   rich       has everything that getpeercert() can show
#   lonely     localhost, signed by itself
#   stranger   another authority, which has signed nothing
# server_encrypted.key is server.key behind the password "secret".
set -eu
cd "$(dirname "$0")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
touch "$scratch/index"
echo C0FFEE00 >"$scratch/serial"

cat >"$scratch/config" <<CONFIG
[req]
distinguished_name = nothing
[nothing]
[ca]
default_ca = here
[here]
new_certs_dir = $scratch
database = $scratch/index
serial = $scratch/serial
default_md = sha256
policy = any
unique_subject = no
[any]
countryName = optional
organizationName = optional
commonName = optional
emailAddress = optional

[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
[lonely]
basicConstraints = critical, CA:false
subjectKeyIdentifier = hash
subjectAltName = DNS:localhost
CONFIG

leaf='basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always'

new_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }

# authority NAME SUBJECT: its key stays in the scratch directory
authority() {
  new_key "$scratch/$1.key"
  openssl req -x509 -new -config "$scratch/config" -extensions authority -key "$scratch/$1.key" \
    -subj "$2" -days 36500 -out "$1.pem"
}

# signed NAME SUBJECT BEGIN END EXTENSIONS
signed() {
  new_key "$1.key"
  printf '%s\n%s\n' "$leaf" "$5" >"$scratch/extensions"
  openssl req -new -config "$scratch/config" -key "$1.key" -subj "$2" -out "$scratch/request"
  openssl ca -batch -notext -config "$scratch/config" -cert ca.pem -keyfile "$scratch/ca.key" \
    -extfile "$scratch/extensions" -startdate "$3" -enddate "$4" -in "$scratch/request" \
    -out "$1.pem" 2>"$scratch/log" || { cat "$scratch/log" >&2 && exit 1; }
}

long_ago=20200101000000Z
far_ahead=21200101000000Z

authority ca "/C=XY/O=asyncio tests/CN=Test authority"
authority stranger "/O=asyncio tests/CN=Another authority"

signed server "/O=asyncio tests/CN=localhost" $long_ago $far_ahead \
  'subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1
extendedKeyUsage = serverAuth'
signed other "/O=asyncio tests/CN=other.test" $long_ago $far_ahead \
  'subjectAltName = DNS:other.test, DNS:*.wild.test'
signed client "/O=asyncio tests/CN=client" $long_ago $far_ahead \
  'extendedKeyUsage = clientAuth'
signed expired "/CN=localhost" 20100101000000Z 20110101000000Z 'subjectAltName = DNS:localhost'
signed future "/CN=localhost" 20900101000000Z $far_ahead 'subjectAltName = DNS:localhost'
signed rich "/C=XY/O=asyncio tests/CN=rich/emailAddress=rich@example.org" $long_ago $far_ahead \
  'subjectAltName = @names
authorityInfoAccess = OCSP;URI:http://ocsp.test/, caIssuers;URI:http://issuers.test/ca.cer
crlDistributionPoints = URI:http://crl.test/one.crl, URI:http://crl.test/two.crl
[names]
DNS = rich.test
email = rich@example.org
URI = https://rich.test/
IP.1 = 10.1.2.3
IP.2 = 2001:db8::7
RID = 1.2.3.4
dirName = directory
otherName = 1.2.3.5;UTF8:odd
[directory]
C = XY
CN = directory'

new_key lonely.key
openssl req -x509 -new -config "$scratch/config" -extensions lonely -key lonely.key \
  -subj "/CN=localhost" -days 36500 -out lonely.pem

openssl ec -in server.key -aes256 -passout pass:secret -out server_encrypted.key 2>/dev/null
