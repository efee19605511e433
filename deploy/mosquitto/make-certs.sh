#!/bin/sh
# A certificate authority of your own, and certificates for the broker and each client. Needs openssl.
#
#   make-certs.sh DIR broker HOST...     the broker's certificate, valid for these host names and addresses
#   make-certs.sh DIR truck NAME...      for each truck NAME (its daemon), NAME-signals (what publishes its readings),
#                                        NAME-doctor (tickover doctor), and their lines in DIR/acl
#   make-certs.sh DIR person NAME...     for someone who watches and commands, as dispatcher, and the lines in DIR/acl
#   make-certs.sh DIR client NAME...     one certificate per client; NAME is its user name (depot, dispatcher)
#
# NAME is the client's user name and its client id at the broker: a second client with the same certificate ends the
# connection of the first. DIR/acl is for the broker: mosquitto/acl, and what was added since.
# The authority (DIR/ca.key) is made on first use. Keep ca.key off the trucks and off the broker.
set -eu
umask 077

days=825
usage() { sed -n '2,15s/^# \{0,1\}//p' "$0" >&2; exit 2; }
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

is_name() {
    case $1 in
        broker | ca | acl | *[!A-Za-z0-9_.-]*) echo "make-certs.sh: not a client's name: $1" >&2; exit 2 ;;
    esac
}

client() { sign "$1" "$1" "extendedKeyUsage=clientAuth"; }

# allow LINE...: the lines of one user, the first names it; nothing when DIR/acl has them.
allow() {
    [ -f "$dir/acl" ] || cp "$(dirname "$0")/acl" "$dir/acl"
    grep -qxF "$1" "$dir/acl" || printf '%s\n' '' "$@" >> "$dir/acl"
}

case $kind in
    truck)
        make_authority
        for name in "$@"; do
            is_name "$name"
            case $name in
                *-signals | *-doctor) echo "make-certs.sh: not a truck's name: $name" >&2; exit 2 ;;
            esac
            client "$name"
            client "$name-signals"
            client "$name-doctor"
            allow "user $name-signals" "topic write trucks/$name/#"
            allow "user $name-doctor" "topic read trucks/$name/#" "topic readwrite tickover/v1/$name/doctor/#"
        done
        ;;
    person)
        make_authority
        for name in "$@"; do
            is_name "$name"
            client "$name"
            allow "user $name" "topic read tickover/v1/#" "topic write tickover/v1/+/cmd/+/request"
        done
        ;;
    broker)
        make_authority
        sign broker "$1" "extendedKeyUsage=serverAuth
subjectAltName=$(alternative_names "$@")"
        ;;
    client)
        make_authority
        for name in "$@"; do
            is_name "$name"
            client "$name"
        done
        ;;
    *) usage ;;
esac
