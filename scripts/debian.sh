# shellcheck shell=bash
# What scripts/engine and scripts/base-images ask of a Debian-like system. Sourced, never run.

# shellcheck source=/dev/null
debian_like() {
  [[ $(uname -s) == Linux ]] && command -v apt-get >/dev/null && [[ -r /etc/os-release ]] \
    && (. /etc/os-release && [[ " ${ID:-} ${ID_LIKE:-} " == *" debian "* ]])
}

# A stale or partly unreachable index need not matter: the install after it decides.
apt_update() {
  apt-get -qq -o DPkg::Lock::Timeout=300 update >/dev/null 2>&1 || true
}

# Asks nothing, and says nothing unless it fails.
apt_install() {
  local said
  if ! said=$(DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
    install --no-install-recommends "$@" 2>&1 </dev/null); then
    tail -n 20 <<<"$said" >&2
    return 1
  fi
}

# The Debian mirror that this machine's own apt sources name; empty where they name none.
debian_mirror() {
  local site
  # shellcheck disable=SC2016  # the names are apt's, not the shell's
  site=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null \
    | sed -n 's/^Debian //p' | grep -v -e security -e backports | head -n 1) || true
  echo "$site"
}
