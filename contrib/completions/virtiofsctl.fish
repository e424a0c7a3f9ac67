# SPDX-License-Identifier: BSD-3-Clause
# fish completion of virtiofsctl

set -l commands status stats top trace log-level drain
complete -c virtiofsctl -f
complete -c virtiofsctl -n "not __fish_seen_subcommand_from $commands" -a "$commands"
complete -c virtiofsctl -n "__fish_seen_subcommand_from log-level" -a "off error warn info debug trace"
complete -c virtiofsctl -l socket -r -F -d 'control socket of the daemon'
complete -c virtiofsctl -l json -d 'as JSON'
complete -c virtiofsctl -l prometheus -d 'as Prometheus reads it'
complete -c virtiofsctl -l help -d 'print a short help and exit'
complete -c virtiofsctl -l version -d 'print the version and exit'
