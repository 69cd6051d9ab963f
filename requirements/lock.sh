#!/bin/sh
# Pins the packages of requirements/*.in and their dependencies, with hashes. Needs uv.
set -eu
cd "$(dirname "$0")"
pin="uv pip compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url --upgrade"
of_the_runtime="botocore jmespath python-dateutil six urllib3"
$pin --universal --python-version 3.11 dev.in -o dev.txt
$pin --universal --python-version 3.11 cli.in -o cli.txt
$pin --universal --python-version 3.11 emulator.in -o emulator.txt
$pin --universal --python-version 3.11 bench.in -o bench.txt
$pin --universal --python-version 3.11 scan.in -o scan.txt
$pin --universal --python-version 3.11 trino/java.in -o trino/java.txt
$pin --python-version 3.11 --python-platform x86_64-manylinux_2_28 job.in -o job.txt
# shellcheck disable=SC2046,SC2086
$pin --python-version 3.13 --python-platform aarch64-manylinux2014 layer.in -o layer.txt \
    $(printf -- '--no-emit-package %s ' $of_the_runtime)
