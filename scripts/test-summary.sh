#!/usr/bin/env bash
# Passes on what people want to see of `swift test`: failures, what was skipped, and the counts.
exec grep --line-buffered --extended-regexp '^(✘|➜|error|fatal)|: error:|Fatal error|Test run with'
