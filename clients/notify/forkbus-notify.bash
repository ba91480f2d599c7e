# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Completion of forkbus-notify(1) for bash.

_forkbus_notify() {
	local cur=${COMP_WORDS[COMP_CWORD]} option=''

	# Bash splits words at "=": --config=FILE becomes three words, --config= two.
	if [[ $cur == = ]]; then
		option=${COMP_WORDS[COMP_CWORD - 1]} cur=''
	elif ((COMP_CWORD > 1)) && [[ ${COMP_WORDS[COMP_CWORD - 1]} == = ]]; then
		option=${COMP_WORDS[COMP_CWORD - 2]}
	elif ((COMP_CWORD > 1)); then
		option=${COMP_WORDS[COMP_CWORD - 1]}
	fi

	COMPREPLY=()
	case $option in
	--config)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		;;
	--runtime-dir)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		;;
	--since)
		mapfile -t COMPREPLY < <(compgen -W '-5min -1h -1d' -- "$cur")
		;;
	*)
		mapfile -t COMPREPLY < <(compgen -W '--config= --test --since= --runtime-dir= --help --version' -- "$cur")
		[[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace
		;;
	esac
} && complete -F _forkbus_notify forkbus-notify
