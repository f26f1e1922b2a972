#!/bin/sh
# Makes tests/certs/certs.ts: the certificates that the TLS tests use, as strings, so that the tests need no openssl and
# read no file. Valid for a hundred years, but for the one that has expired. Run from anywhere; needs openssl 3.
set -eu
out=$(cd "$(dirname "$0")" && pwd)/certs.ts
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

ca_config() {
  cat > "$1.cnf" <<CNF
[ca]
default_ca = this
[this]
database = $1.index
serial = $1.serial
new_certs_dir = .
certificate = $1.pem
private_key = $1.key
default_md = sha256
policy = anything
unique_subject = no
copy_extensions = none
crlnumber = $1.crlnumber
default_crl_days = 36000
[anything]
commonName = supplied
CNF
  : > "$1.index"
  echo "$2" > "$1.serial"
  echo 01 > "$1.crlnumber"
}

key() {
  openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" 2>/dev/null ||
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" 2>/dev/null
}

# authority NAME COMMON_NAME FIRST_SERIAL
authority() {
  key "$1"
  openssl req -new -x509 -key "$1.key" -subj "/CN=$2" -days 36500 -out "$1.pem" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
  ca_config "$1" "$3"
}

# leaf NAME AUTHORITY COMMON_NAME SUBJECT_ALT_NAME USAGE START END
leaf() {
  key "$1"
  openssl req -new -key "$1.key" -subj "/CN=$3" -out "$1.csr"
  {
    echo "basicConstraints = critical, CA:FALSE"
    echo "extendedKeyUsage = $5"
    echo "authorityKeyIdentifier = keyid"
    echo "subjectKeyIdentifier = hash"
    [ -z "$4" ] || echo "subjectAltName = $4"
  } > "$1.ext"
  openssl ca -batch -notext -config "$2.cnf" -in "$1.csr" -out "$1.pem" -extfile "$1.ext" \
    -startdate "$6" -enddate "$7" 2>/dev/null
}

from=20240101000000Z
until=21240101000000Z
local_names="DNS:localhost, IP:127.0.0.1, IP:::1"

authority ca "holdfast test CA" 1000
authority otherCa "holdfast other test CA" 2000
leaf good ca localhost "$local_names" serverAuth $from $until
leaf wrongHost ca elsewhere.test "DNS:elsewhere.test" serverAuth $from $until
leaf expired ca localhost "$local_names" serverAuth 20200101000000Z 20210101000000Z
leaf unknownCa otherCa localhost "$local_names" serverAuth $from $until
leaf commonNameOnly ca localhost "" serverAuth $from $until
leaf client ca "holdfast test client" "" clientAuth $from $until

key selfSigned
openssl req -new -x509 -key selfSigned.key -subj "/CN=localhost" -days 36500 -out selfSigned.pem \
  -addext "subjectAltName=$local_names" -addext basicConstraints=critical,CA:FALSE

openssl pkcs8 -topk8 -v2 aes-256-cbc -in client.key -passout pass:secret -out client.encrypted.key
openssl pkcs12 -export -in client.pem -inkey client.key -certfile ca.pem -passout pass:secret -out client.pfx
openssl ca -gencrl -config ca.cnf -out empty.crl 2>/dev/null
openssl ca -revoke good.pem -config ca.cnf 2>/dev/null
openssl ca -gencrl -config ca.cnf -out revoking.crl 2>/dev/null

pem() { printf 'export const %s: string = `%s\n`;\n\n' "$2" "$(cat "$1")"; }
pair() { printf 'export const %s: KeyPair = {\n  cert: `%s\n`,\n  key: `%s\n`,\n};\n\n' "$1" "$(cat "$1.pem")" "$(cat "$1.key")"; }
{
  echo "/**"
  echo " * Certificates for the tests; made by make_certs.sh, not edited by hand. The keys guard nothing."
  echo " *"
  echo " * @module"
  echo " */"
  echo
  echo "/** A certificate and its key, PEM. */"
  echo "export interface KeyPair {"
  echo "  readonly cert: string;"
  echo "  readonly key: string;"
  echo "}"
  echo
  echo "/** The authority that signed all but \`selfSigned\` and \`unknownCa\`. */"
  pem ca.pem ca
  echo "/** The authority of \`unknownCa\`. */"
  pem otherCa.pem otherCa
  echo "/** localhost, 127.0.0.1 and ::1. */"
  pair good
  echo "/** elsewhere.test alone. */"
  pair wrongHost
  echo "/** As \`good\`, until 2021. */"
  pair expired
  echo "/** As \`good\`, signed by \`otherCa\`. */"
  pair unknownCa
  echo "/** As \`good\`, signed by itself. */"
  pair selfSigned
  echo "/** CN=localhost and no subjectAltName. */"
  pair commonNameOnly
  echo "/** For a client. */"
  pair client
  echo "/** The key of \`client\`, encrypted with \`passphrase\`. */"
  pem client.encrypted.key encryptedClientKey
  echo "/** What \`encryptedClientKey\` and \`clientPfx\` are encrypted with. */"
  echo 'export const passphrase: string = "secret";'
  echo
  echo "/** The pair \`client\` as PKCS #12, base64, encrypted with \`passphrase\`. */"
  printf 'export const clientPfxBase64: string =\n  "%s";\n\n' "$(openssl base64 -A -in client.pfx)"
  echo "/** The authority's revocation list: nothing is revoked. */"
  pem empty.crl emptyCrl
  echo "/** The authority's revocation list: \`good\` is revoked. */"
  pem revoking.crl revokingCrl
} > "$out"
