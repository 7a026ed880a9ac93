#!/bin/sh
# Prints FOLDER/index.html with its style sheet and script inside: one request gets the whole page, so that
# no visitor can get the markup of one release and the script of another.
set -eu

cd "$1"
while IFS= read -r line; do
  case $line in
    *'<link rel="stylesheet" href="page.css">'*) echo '<style>' && cat page.css && echo '</style>' ;;
    *'<script src="page.js" defer></script>'*) echo '<script type="module">' && cat page.js && echo '</script>' ;;
    *) printf '%s\n' "$line" ;;
  esac
done < index.html
