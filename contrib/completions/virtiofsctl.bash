# SPDX-License-Identifier: BSD-3-Clause
# bash completion of virtiofsctl

_virtiofsctl()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i words=

	[ "$cur" != = ] || cur=
	[ "$prev" != = ] || prev=${COMP_WORDS[COMP_CWORD-2]}
	COMPREPLY=()
	case $prev in
	--socket)
		compopt -o filenames
		COMPREPLY=($(compgen -f -- "$cur"))
		return ;;
	log-level)
		COMPREPLY=($(compgen -W 'off error warn info debug trace' -- "$cur"))
		return ;;
	esac
	words='status stats top trace log-level drain'
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		status | stats | top | trace | log-level | drain) words= ;;
		esac
	done
	COMPREPLY=($(compgen -W "$words --socket --json --prometheus --help --version" -- "$cur"))
}
complete -F _virtiofsctl virtiofsctl
