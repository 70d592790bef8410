#!/usr/bin/env bash
# 每晚备份数据目录，保留最近七份。
set -euo pipefail

source_dir=${1:?the folder to back up}
target_dir=${2:?where the archives go}

# Prints a line with the time.
log() {
    printf '%s %s\n' "$(date -Is)" "$*"
}

# 删除较旧的备份
prune() {
    local keep=$1
    ls -1t "$target_dir"/*.tar.gz 2>/dev/null | tail -n "+$((keep + 1))" | while read -r old; do
        log "removing $old"
        rm -- "$old"
    done
}

archive="$target_dir/backup-$(date +%F).tar.gz"
tar -czf "$archive" -C "$source_dir" .
log "已写入 $archive"
prune 7
