#!/bin/sh
# Create the namespace and register the search attributes of Holdfast. May be repeated; waits for the server.
# A test keeps the list below equal to the one in holdfast.contracts.names.
set -eu

attempts=${ATTEMPTS:-60}

patiently() { # patiently COMMAND...: repeat until it succeeds
    tried=0
    until "$@" >/dev/null 2>&1; do
        tried=$((tried + 1))
        if [ "$tried" -ge "$attempts" ]; then
            echo "gave up after $tried times: $*" >&2
            "$@"
            return
        fi
        sleep 1
    done
}

attribute() { # attribute NAME TYPE: does nothing if it exists with this type, fails if it has another
    patiently temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" --name "$1" --type "$2"
}

patiently temporal operator cluster health
temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1 ||
    temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention 30d

attribute HoldfastWorkload Keyword
attribute HoldfastState Keyword
attribute HoldfastProvider Keyword
attribute HoldfastGpu Keyword
attribute HoldfastEpoch Int
attribute HoldfastHourlyUsd Double
echo "namespace $TEMPORAL_NAMESPACE is ready"
