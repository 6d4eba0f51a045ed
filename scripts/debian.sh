# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is read by the scripts that source this
# Other releases of Debian, unpacked. Sourced, never run.

# Debian's releases by that of Erlang/OTP in them.
declare -A debian_of_otp=([25]=bookworm [27]=trixie [29]=sid)

# Unpacks packages of a Debian release in a directory, with what they need; some alone, without that. They are
# checked by apt against the archive's key as this machine's are. Setting: DEBIAN_MIRROR.
unpack_debian() { # Debian suite, architecture, directory, packages, packages alone
  local apt closure package tree=$3
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "apt-get and dpkg-deb are needed to fetch Debian's packages"
    return 1
  fi
  apt=$(mktemp -d) || return 1
  rm -rf "$tree" && mkdir -p "$apt"/etc/apt/{apt.conf.d,preferences.d} "$tree"
  mkdir -p "$apt"/var/lib/{apt/lists,dpkg} "$apt"/var/cache/apt/archives && : >"$apt/var/lib/dpkg/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
    "${DEBIAN_MIRROR:-http://deb.debian.org/debian} $1 main" >"$apt/etc/apt/sources.list"
  # Proxies, and what is asked of signatures and dates, are those of this machine.
  { apt-config dump | grep '^Acquire::'
    printf '%s\n' "Dir \"$apt\";" "Dir::State::status \"$apt/var/lib/dpkg/status\";" 'APT::Sandbox::User "root";' \
      "APT::Architecture \"$2\";" "APT::Architectures \"$2\";"
  } >"$apt/apt.conf"
  # shellcheck disable=SC2086 # lists of words
  (export APT_CONFIG=$apt/apt.conf
   apt-get --quiet --error-on=any update || { echo "no packages from ${DEBIAN_MIRROR:-deb.debian.org}"; exit 1; }
   closure=$(apt-get install --simulate --no-install-recommends $4 | awk '/^Inst/ { print $2 }')
   cd "$apt" && apt-get --quiet download $closure $5) || { rm -rf "$apt"; return 1; }
  # The first one has the links from /bin to /usr/bin that all others need.
  for package in "$apt"/base-files_*.deb "$apt"/*.deb; do
    dpkg-deb --extract "$package" "$tree" || { rm -rf "$apt"; return 1; }
  done
  rm -rf "$apt"
}
