private import Platform

/// `leasehold completion`: teaches a shell to complete command lines.
enum CompletionCommand: Command {
    struct Options: FlagOptions {}

    static let name = "completion"
    static let summary = "prints a script by which bash, zsh or fish completes commands and flags"
    static let operands = ["SHELL"]
    static let description = [
        "SHELL is bash, zsh or fish. The script asks the installed program each time, so it never grows old.",
        "For kubectl leasehold, link the program as kubectl-leasehold and as kubectl_complete-leasehold into a directory of "
            + "PATH: kubectl 1.26 and later ask the latter.",
    ]
    static let examples = [
        "source <(leasehold completion bash)", "source <(leasehold completion zsh)",
        "leasehold completion fish > ~/.config/fish/completions/leasehold.fish",
    ]
    static var flags: [FlagGroup<Options>] { [] }

    static let shells = ["bash", "zsh", "fish"]

    static func run(_ options: Options, operands: [String], console: Console) async throws -> Int32 {
        switch operands[0] {
        case "bash": console.out(bash)
        case "zsh": console.out(zsh)
        case "fish": console.out(fish)
        case let other:
            throw UsageError("SHELL got \(Log.quoted(other)); allowed: one of \(shells.joined(separator: ", "))")
        }
        return ExitCode.done
    }

    /// bash breaks words at `=` and `:` too, and takes a candidate for what stands behind the last of them.
    private static let bash = #"""
        # Completion of leasehold for bash 4 and later: source <(leasehold completion bash)
        _leasehold() {
            local line=${COMP_LINE:0:COMP_POINT} directive current tail head candidate
            local -a words answer
            read -ra words <<<"$line"
            case $line in
                *[[:space:]]) words+=("") ;;
            esac
            current=${words[${#words[@]} - 1]}
            mapfile -t answer < <(leasehold __complete "${words[@]:1}" 2>/dev/null)
            [[ ${#answer[@]} -gt 0 ]] || return 0
            directive=${answer[${#answer[@]} - 1]}
            unset "answer[${#answer[@]} - 1]"
            tail=${current##*[=:]}
            head=${current%"$tail"}
            COMPREPLY=()
            for candidate in "${answer[@]}"; do
                candidate=${candidate%%$'\t'*}
                COMPREPLY+=("${candidate#"$head"}")
            done
            case $directive in
                :0) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$tail") ;;
                :16) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$tail") ;;
            esac
        }
        complete -F _leasehold leasehold

        """#

    private static let zsh = #"""
        #compdef leasehold
        # Completion of leasehold for zsh: source <(leasehold completion zsh), or a file _leasehold in a directory of fpath.
        _leasehold() {
            local line directive
            local -a answer candidates
            answer=("${(@f)$(leasehold __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
            directive=${answer[-1]}
            for line in "${(@)answer[1,-2]}"; do
                candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
            done
            (( ${#candidates} )) && _describe leasehold candidates
            case $directive in
                :0) compset -P '*='; _files ;;
                :16) compset -P '*='; _files -/ ;;
            esac
        }
        if [[ ${funcstack[1]} == _leasehold ]]; then
            _leasehold "$@"
        else
            compdef _leasehold leasehold
        fi

        """#

    private static let fish = #"""
        # Completion of leasehold for fish: leasehold completion fish > ~/.config/fish/completions/leasehold.fish
        function __leasehold_complete
            set -l current (commandline -ct)
            set -l words (commandline -opc)
            set -l answer (leasehold __complete $words[2..-1] "$current" 2>/dev/null)
            set -q answer[1]; or return
            set -l directive $answer[-1]
            set -e answer[-1]
            string join \n -- $answer
            set -l head (string match -r -- '^--[^=]*=' "$current")
            set -l tail (string replace -r -- '^--[^=]*=' '' "$current")
            set -l paths
            switch $directive
                case ':0'
                    set paths (__fish_complete_path "$tail")
                case ':16'
                    set paths (__fish_complete_directories "$tail")
            end
            for path in $paths
                echo "$head$path"
            end
        end
        complete -c leasehold -f -a '(__leasehold_complete)'

        """#
}
