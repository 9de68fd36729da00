#!/usr/bin/env bash
# Passes on what people want to see of `swift test`: failures and what they say, what was skipped, and the counts.
exec grep --line-buffered --text --perl-regexp \
    '^(✘|➜|error|fatal)|^↳ (?!Testing Library Version|Target Platform)|: error:|Fatal error|Test run with'
