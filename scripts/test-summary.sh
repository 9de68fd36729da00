#!/usr/bin/env bash
# Passes on what people want to see of `swift test`: failures with all that they say, what was skipped, and the counts.
exec perl -ne '
    BEGIN { $| = 1 }
    next if /^↳ (Testing Library Version|Target Platform)/;
    # What a failure says goes on until the next event, often with what a process has logged.
    $told = /^✘.* recorded an issue/ if /^(✔|◇|✘|➜)/;
    print if $told || /^(✘|➜|↳|error|fatal)/ || /: error:|Fatal error|Test run with/;
'
