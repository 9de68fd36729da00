private import Commands
private import FoundationEssentials
private import Glibc

@main enum Main {
    static func main() async {
        let console = Console.process(environment: ProcessInfo.processInfo.environment)
        exit(await Program.run(Array(CommandLine.arguments.dropFirst()), console: console))
    }
}
