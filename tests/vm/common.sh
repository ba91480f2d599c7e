# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Shared by the scripts of this directory: names, paths, a private state of apt. To be sourced.
#
# All downloaded and built files are kept in $FORKBUS_VM (build/vm), and made again only when they are missing.

tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
vm=$(realpath -m "${FORKBUS_VM:-$tree/build/vm}")

# The kernels: the suite that each comes from. Spinlocks of 6.12-rt sleep (PREEMPT_RT). Those for arm64 are for building only.
declare -A suites=(
	[6.1]=bookworm [6.12]=bookworm-backports [7]=trixie-backports
	[6.12-rt]=bookworm-backports [6.1-arm64]=bookworm [6.12-arm64]=bookworm-backports
)

say() {
	echo "forkbus: $*" >&2
}

fail() {
	say "$@"
	exit 1
}

# End because this machine cannot provide a requirement: tests are skipped then.
unavailable() {
	say "$@"
	exit 77
}

# A kernel in this directory may also come from debug/kernel.
known_kernel() {
	[ -n "${suites[$1]:-}" ] || [ -e "$vm/kernels/$1/headers" ] || fail "there is no kernel '$1'; there are: ${!suites[*]}"
}

# Run a command, and show its output only if it fails.
quietly() {
	local log status=0
	log=$(mktemp)
	"$@" </dev/null >"$log" 2>&1 || status=$?
	[ "$status" -eq 0 ] || cat "$log" >&2
	rm -f "$log"
	return "$status"
}

# Only one process at a time makes shared files. The lock is released when the process ends.
lock() {
	mkdir -p "$vm"
	exec 9>"$vm/$1.lock"
	flock -n 9 || {
		say "waiting for another one that makes $1"
		flock 9
	}
}

# May missing files be made on this machine?
can_prepare() {
	[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || unavailable 'the kernels for tests are made on Debian, on amd64'
	[ "$(id -u)" -eq 0 ] || unavailable "what is missing in $vm takes root to make"
}

# Use the machine's own mirror and keys for other suites.
apt_source() {
	local uri signed_by='' keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	# apt's lists show whose source it is; before they are read, Debian's is guessed by its address.
	# shellcheck disable=SC2016 # apt-get's own variables
	uri=$(for how in '' --no-release-info; do
		apt-get indextargets $how --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages'
	done | awk '$1 ~ /security/ || $2 !~ /^[a-z]+$/ || $3 != "main" { next }
			$4 == "Debian" { sure = sure ? sure : $1 }
			$1 ~ /debian\/$/ { likely = likely ? likely : $1 }
			{ any = any ? any : $1 }
			END { print sure ? sure : likely ? likely : any }')
	[ -n "$uri" ] || unavailable 'apt on this machine knows no Debian mirror'
	[ ! -e "$keyring" ] || signed_by=" [signed-by=$keyring]"
	echo "deb$signed_by $uri"
}

# private SUITES COMMAND…: run an apt command with these suites ("host", or "all"), without changes to the machine's state
private() {
	local suites=$1 command=$2
	shift 2
	"$command" -q -o "Dir::Etc::sourcelist=$vm/apt/$suites.list" -o Dir::Etc::sourceparts=- \
		-o "Dir::State::lists=$vm/apt/lists" -o "Dir::Cache=$vm/apt/cache-$suites" \
		-o Dir::Cache::pkgcache=pkgcache.bin -o Dir::Cache::srcpkgcache=srcpkgcache.bin \
		-o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Architectures::=amd64 -o APT::Architectures::=arm64 \
		-o APT::Sandbox::User=root -o DPkg::Lock::Timeout=300 "$@"
}

# The lists of packages, downloaded at most once a run. If a suite is unavailable, the tests that need a package of it fail.
apt_update() {
	[ -z "${apt_updated:-}" ] || return 0
	apt_updated=1
	local source suite
	source=$(apt_source) || exit
	mkdir -p "$vm/apt/lists/partial" "$vm"/apt/cache-{all,host}/archives/partial
	for suite in bookworm bookworm-backports trixie-backports; do
		echo "$source $suite main"
	done >"$vm/apt/all.list"
	grep bookworm "$vm/apt/all.list" >"$vm/apt/host.list"
	say 'fetching the lists of further suites'
	quietly private all apt-get update || true
}

# Print the newest version of a package in a suite; nothing if there is none.
version_in() {
	private all apt-cache madison "$1" 2>/dev/null | awk -F ' *[|] *' -v suite="$2/main" '
		{ split($3, where, " ") } where[2] == suite { gsub(/ /, "", $2); print $2; exit }'
}

# unpack PATTERN VERSION ROOT PACKAGE: unpack a package, and those of its dependencies whose names match, into ROOT. All have
# the same version, since they are built from one source.
unpack() {
	local pattern=$1 version=$2 root=$3 next=("$4") all=' ' package wanted dir
	while [ "${#next[@]}" -gt 0 ]; do
		package=${next[0]}
		next=("${next[@]:1}")
		case $package in *-arm64) package=$package:arm64 ;; esac
		case $all in *" $package=$version "*) continue ;; esac
		all="$all$package=$version "
		wanted=$(private all apt-cache show "$package=$version" 2>/dev/null | sed -n 's/^Depends: //p' | head -n 1 |
			sed 's/[,|]/\n/g' | awk -v pattern="$pattern" '$1 ~ pattern && $1 !~ /-unsigned$/ { print $1 }')
		for package in $wanted; do next+=("$package"); done
	done
	dir=$(mktemp -d "$vm/apt/download-XXXXXXXX")
	# shellcheck disable=SC2086 # a list of words
	(cd "$dir" && quietly private all apt-get download $all) || {
		rm -rf "$dir"
		return 1
	}
	for package in "$dir"/*.deb; do dpkg-deb -x "$package" "$root" || return; done
	rm -rf "$dir"
}

# make_tree SUITE DIR OPTION…: create a small Debian, with the settings of the machine's own apt
make_tree() {
	local suite=$1 dir=$2 source acquire status=0
	shift 2
	source=$(apt_source) || exit
	acquire=$(mktemp)
	apt-config dump Acquire | grep -E '^Acquire::(http|https|ftp|Retries)' >"$acquire" || true
	echo 'Acquire::Retries "3";' >>"$acquire"
	quietly mmdebstrap "--aptopt=$acquire" --dpkgopt=force-unsafe-io "$@" "$suite" "$dir" "$source $suite main" || status=$?
	rm -f "$acquire"
	return "$status"
}
