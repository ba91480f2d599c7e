# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Completion of forkbusctl(1) for bash.

# Print the possible values of an option, one a line; nothing if they are unknown.
__forkbusctl_values() {
	case $1 in
	--type)
		printf '%s\n' fork exec exit id comm session chroot coredump ptrace
		;;
	--status)
		printf '%s\n' any success failure signal
		;;
	--json)
		printf '%s\n' short pretty off
		;;
	--uid)
		compgen -u
		;;
	--unit)
		# Sessions, scopes and slices have processes, too.
		if command -v systemctl >/dev/null; then
			systemctl list-units --no-legend --plain --full 2>/dev/null |
				while read -r unit _; do
					case $unit in
					*.service | *.scope | *.slice) printf '%s\n' "$unit" ;;
					esac
				done
		fi
		;;
	--pid | --tree)
		local proc
		for proc in /proc/[0-9]*; do
			printf '%s\n' "${proc#/proc/}"
		done
		;;
	--min-elapsed)
		printf '%s\n' 100ms 1s 10s 1min 1h
		;;
	--since)
		printf '%s\n' -1min -5min -1h
		;;
	esac
}

_forkbusctl() {
	local common='--runtime-dir= --help --version'
	local -r filter='--type= --pid= --uid= --comm= --exe= --cgroup= --unit= --status= --min-elapsed= --threads
		--since= --json= --lines='
	local -A options=(
		[monitor]="$filter --tree= --snapshot --ring $common"
		[ps]="--pid= --tree= --uid= --comm= --exe= --cgroup= --unit= --json= $common"
		[tree]="--uid= $common"
		[wait]="--json= $common"
		[status]="--json= $common"
		[doctor]="--json= $common"
		[log]="$filter $common"
	)
	local cur=${COMP_WORDS[COMP_CWORD]} option='' command='' before='' word i

	# Bash splits words at "=": --type=fork becomes three words, --type= two.
	if [[ $cur == = ]]; then
		option=${COMP_WORDS[COMP_CWORD - 1]} cur=''
	elif ((COMP_CWORD > 1)) && [[ ${COMP_WORDS[COMP_CWORD - 1]} == = ]]; then
		option=${COMP_WORDS[COMP_CWORD - 2]}
	elif ((COMP_CWORD > 1)) && [[ ${COMP_WORDS[COMP_CWORD - 1]} == --* ]]; then
		# The value of an option may be a separate word.
		option=${COMP_WORDS[COMP_CWORD - 1]}
		[[ " ${options[*]} " == *[[:space:]]"$option="[[:space:]]* ]] || option=''
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ -n $word && -v "options[$word]" ]]; then
			command=$word
			break
		fi
	done

	COMPREPLY=()
	if [[ $option == --runtime-dir ]]; then
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
	elif [[ $option == --exe || (-z $option && $command == log && $cur != -*) ]]; then
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
	elif [[ -n $option ]]; then
		# Complete the last item of a list; keep the items before it.
		case $option in
		--json | --tree | --min-elapsed | --since | --lines) ;;
		*) [[ $cur != *,* ]] || before=${cur%,*}, ;;
		esac
		# compgen -W would expand the words, and names of units are not trusted.
		while read -r word; do
			[[ $word != "${cur#"$before"}"* ]] || COMPREPLY+=("$before$(printf %q "$word")")
		done < <(__forkbusctl_values "$option")
	elif [[ ($command == tree || $command == wait) && $cur != -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(__forkbusctl_values --pid)" -- "$cur")
	elif [[ $cur == -* ]]; then
		[[ -z $command ]] || common=${options[$command]}
		mapfile -t COMPREPLY < <(compgen -W "$common" -- "$cur")
		[[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace
	elif [[ -z $command ]]; then
		mapfile -t COMPREPLY < <(compgen -W "${!options[*]}" -- "$cur")
	fi
} && complete -F _forkbusctl forkbusctl
