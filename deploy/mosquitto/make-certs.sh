#!/bin/sh
# A certificate authority of your own, and certificates for the broker and each client. Needs openssl.
#
#   make-certs.sh DIR broker HOST...     the broker's certificate, valid for these host names and addresses
#   make-certs.sh DIR client NAME...     one certificate per client; NAME is its user name (a truck's name, dispatcher)
#
# The authority (DIR/ca.key) is made on first use. Keep ca.key off the trucks and off the broker.
set -eu
umask 077

days=825
usage() { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ $# -ge 3 ] || usage
dir=$1 kind=$2
shift 2
mkdir -p "$dir"

make_authority() {
    [ -f "$dir/ca.key" ] && return
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/CN=tickover fleet" \
        -addext "keyUsage=critical,keyCertSign,cRLSign" -keyout "$dir/ca.key" -out "$dir/ca.crt" 2>/dev/null
}

# sign FILE COMMON-NAME EXTENSIONS
sign() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$2" \
        -keyout "$dir/$1.key" -out "$dir/$1.csr" 2>/dev/null
    printf '%s\n' basicConstraints=CA:FALSE keyUsage=digitalSignature subjectKeyIdentifier=hash \
        authorityKeyIdentifier=keyid "$3" > "$dir/$1.ext"
    openssl x509 -req -in "$dir/$1.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -CAcreateserial -days $days \
        -extfile "$dir/$1.ext" -out "$dir/$1.crt" 2>/dev/null
    rm "$dir/$1.csr" "$dir/$1.ext"
    chmod 644 "$dir/$1.crt" "$dir/ca.crt"
    echo "$dir/$1.crt"
}

alternative_names() {
    for host in "$@"; do
        case $host in
            *:* | *[0-9].[0-9]*.[0-9]*.[0-9]*) printf 'IP:%s,' "$host" ;;
            *) printf 'DNS:%s,' "$host" ;;
        esac
    done | sed 's/,$//'
}

case $kind in
    broker)
        make_authority
        sign broker "$1" "extendedKeyUsage=serverAuth
subjectAltName=$(alternative_names "$@")"
        ;;
    client)
        make_authority
        for name in "$@"; do
            case $name in
                broker | ca | *[!A-Za-z0-9_.-]*) echo "make-certs.sh: not a client's name: $name" >&2; exit 2 ;;
            esac
            sign "$name" "$name" "extendedKeyUsage=clientAuth"
        done
        ;;
    *) usage ;;
esac
