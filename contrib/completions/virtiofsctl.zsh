#compdef virtiofsctl
# SPDX-License-Identifier: BSD-3-Clause

_arguments \
	'--socket=[control socket of the daemon]:path:_files' \
	'--json[as JSON]' \
	'--prometheus[as Prometheus reads it]' \
	'--help[print a short help and exit]' \
	'--version[print the version and exit]' \
	'1:command:(status stats top trace log-level drain)' \
	'2::level:(off error warn info debug trace)'
