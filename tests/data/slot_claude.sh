#!/bin/bash
# A claude of a slot as far as a pool sees it: a registry file, hooks, an input box, a transcript. It answers every prompt
# with "said: PROMPT", but stays busy with one that begins with "hold" until Escape comes. FAKE_EXIT: it ends at once.
# "show A B" shows so many status lines, each with a twentieth of a percent more of the account used.
[ "$1" = --version ] && { echo "9.9.9 (Claude Code)"; exit 0; }
for word in "$@"; do
  [ "$word" = --no-such-flag ] && { echo "error: unknown option '--no-such-flag'" >&2; exit 1; }
done
[ -e "$HOME/exit-at-once" ] && { echo "I cannot go on: $(cat "$HOME/exit-at-once")"; date +%s%N >> "$HOME/starts"; exit 3; }
stty raw -echo icrnl
config=${CLAUDE_CONFIG_DIR:-$HOME/.claude}
mkdir -p "$config/sessions"
file=$config/sessions/$$.json
start=
[ -r /proc/$$/stat ] && start=$(sed 's/.*) //' /proc/$$/stat | cut -d' ' -f20)
begun=$(date +%s)000
session=
new_session() { count=$((count + 1)); printf -v session '%08x-0000-4000-8000-%012x' $$ "$count"; }
status() {
  local now; now=$(date +%s%3N)
  printf '{"pid":%d,"procStart":"%s","sessionId":"%s","cwd":"%s","startedAt":%s,"kind":"interactive","entrypoint":"cli","status":"%s","updatedAt":%s,"statusUpdatedAt":%s}' \
    $$ "$start" "$session" "$PWD" "$begun" "$1" "$now" "$now" > "$file.new" && mv "$file.new" "$file"
}
transcript() { echo "$config/projects/$(printf %s "$PWD" | tr -c 'A-Za-z0-9' -)/$session.jsonl"; }
hook() {
  printf '{"session_id":"%s","transcript_path":"%s","cwd":"%s","permission_mode":"default","hook_event_name":"%s"%s}' \
    "$session" "$(transcript)" "$PWD" "$1" "$2" | (exec "$CCP_HOOK_PROGRAM" hook) > /dev/null 2>&1
}
box() {
  printf '\033[2J\033[H'
  printf '─%.0s' {1..120}; printf '\r\n❯\302\240%s\r\n' "$1"; printf '─%.0s' {1..120}; printf '\r\n'
}
resets=$(($(date +%s) + 7200))
show() {
  printf '{"session_id":"%s","prompt_id":"p","cost":{"total_api_duration_ms":%d},"rate_limits":{"five_hour":{"used_percentage":%d.%02d,"resets_at":%d}}}' \
    "$session" "$1" $(($1 / 20)) $(($1 % 20 * 5)) "$resets" | (exec "$CCP_HOOK_PROGRAM" hook statusline) > /dev/null 2>&1
}
record() { mkdir -p "$(dirname "$(transcript)")"; printf '%s\n' "$1" >> "$(transcript)"; }
begin() { hook SessionStart ",\"source\":\"$1\",\"model\":\"fake\""; status idle; box ""; }
new_session
trap 'rm -f "$file"; exit 0' TERM HUP INT
status ""
begin startup
while IFS= read -r line; do
  text=${line//$'\e[200~'/}; text=${text//$'\e[201~'/}; text=${text//$'\x15'/}; text=${text//$'\e'/}
  case $text in
    '') continue ;;
    /clear*) hook SessionEnd ',"reason":"clear"'; new_session; begin clear; continue ;;
    /resume*) hook SessionEnd ',"reason":"resume"'; session=${text#/resume }; session=${session%% *}; begin resume; continue ;;
  esac
  status busy
  id=$(date +%s%N)
  hook UserPromptSubmit ",\"prompt\":\"$text\",\"prompt_id\":\"$id\""
  record "{\"type\":\"user\",\"promptId\":\"$id\",\"cwd\":\"$PWD\",\"timestamp\":\"$(date -u +%FT%T.000Z)\",\"message\":{\"role\":\"user\",\"content\":\"$text\"}}"
  case $text in
    hold*)
      while IFS= read -r -d '' -n 1 key; do [ "$key" = $'\e' ] && break; done
      status idle; box ""; continue ;;
    show*) read -r _ from to <<< "$text"; for ((i = from; i <= to; i++)); do show "$i"; done ;;
    flood*) for ((i = 0; i < 200000; i++)); do printf 'line %d of a flood of text that nobody reads\r\n' "$i"; done ;;
  esac
  record "{\"type\":\"assistant\",\"cwd\":\"$PWD\",\"message\":{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"said: $text\"}]}}"
  status idle
  hook Stop ",\"last_assistant_message\":\"said: $text\",\"stop_hook_active\":false"
  box ""
done
rm -f "$file"
