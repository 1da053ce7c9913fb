#!/bin/sh
# A stream read with nothing but curl:
#
#   read.sh URL STREAM_ID FILE
#
# FILE gets the text as it comes. Wherever a connection breaks, and if this is run
# again, it goes on where FILE ends. The last line printed is the stream's status.
set -eu
url=$1
stream=$2
file=$3
part=$file.part
head=$file.head
touch "$file"

# Offsets count UTF-16 code units.
length() {
  echo $(($(iconv -f UTF-8 -t UTF-16LE "$1" | wc -c) / 2))
}

header() {
  tr -d '\r' <"$head" | awk -v name="$1:" 'tolower($1) == name { print $2 }'
}

while :; do
  : >"$part"
  broken=
  code=$(curl --silent --no-buffer --dump-header "$head" --output "$part" \
    --write-out '%{http_code}' \
    "$url?streamId=$stream&offset=$(length "$file")") || broken=yes
  case $code in
  200) ;;
  204) break ;;
  4*)
    cat "$part" >&2
    echo "refused: $code"
    exit 1
    ;;
  *)
    # The server is down or failing. Try again later.
    sleep 1
    continue
    ;;
  esac
  # -c leaves out a last character that was cut in two. It comes again, whole.
  iconv -c -f UTF-8 -t UTF-8 "$part" >>"$file" || true
  [ "$broken" = yes ] || [ "$(header stream-closed)" != true ] || break
done
header stream-status
rm -f "$part" "$head"
