#!/bin/sh
# Writes the release's version into the page and starts nginx as the container's first process.
set -eu

version=${APP_VERSION:-dev}
case $version in
  *[!A-Za-z0-9._-]*)
    echo "APP_VERSION has a character that no image tag has" >&2
    exit 2
    ;;
esac

site=/tmp/site
mkdir -p "$site" /tmp/nginx
while IFS= read -r line; do
  case $line in
    *@APP_VERSION@*) printf '%s\n' "${line%%@APP_VERSION@*}$version${line#*@APP_VERSION@}" ;;
    *) printf '%s\n' "$line" ;;
  esac
done < /srv/tokenlab/index.html > "$site/index.html"
printf '{"version": "%s"}\n' "$version" > "$site/version.json"

exec nginx -e stderr -c /srv/tokenlab/nginx.conf
