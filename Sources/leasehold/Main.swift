private import Commands

#if BREAKABLE_RULES
    #error("the product is never built with rules that can be broken")
#endif

@main enum Main {
    static func main() { Program.main() }
}
