/// What a command's flags fill: a plain value whose initial state holds the defaults.
package protocol FlagOptions {
    init()
}

/// One flag, declared once: the parser, the environment, help and the reference all work from this.
package struct Flag<Options: FlagOptions> {
    /// Without the two dashes.
    let name: String
    /// nil: a switch, which needs no value.
    let placeholder: String?
    /// What is allowed, to follow "allowed: " in an error.
    let allowed: String
    /// The bounds or choices in short, for help.
    let range: String?
    /// The words that are allowed, where there are few.
    let choices: [String]
    /// What holds when the flag is not given, in words; nil: nothing.
    let defaultText: String?
    let isRequired: Bool
    let isRepeatable: Bool
    let help: String
    /// Stores the values given, in their order; at least one. Returns the first that is not allowed.
    let apply: (inout Options, [String]) -> String?

    /// The flag's environment variable.
    var variable: String {
        Program.variablePrefix + name.uppercased().map { $0 == "-" ? "_" : String($0) }.joined()
    }

    /// What the variable's text says: of a flag that may be given several times, `a, b` are two values. None: as if not set.
    func values(ofVariable text: String) -> [String] {
        guard isRepeatable else { return text.isEmpty ? [] : [text] }
        return text.split(separator: ",").compactMap { item in
            var item = item.drop { $0 == " " }
            while item.last == " " { item.removeLast() }
            return item.isEmpty ? nil : String(item)
        }
    }

    /// A flag with one value; of several, the last counts.
    init<Value>(
        _ name: String, _ path: WritableKeyPath<Options, Value>, _ type: ValueType<Value>, _ help: String,
        required: Bool = false
    ) {
        self.init(
            name, type, help, defaultText: required ? nil : type.format(Options()[keyPath: path]), required: required
        ) { options, value in options[keyPath: path] = value }
    }

    /// A flag with one value and without one by default.
    ///
    /// - Parameter defaultText: what the command then does, in words.
    init<Value>(
        _ name: String, _ path: WritableKeyPath<Options, Value?>, _ type: ValueType<Value>, _ help: String,
        defaultText: String? = nil, required: Bool = false
    ) {
        self.init(name, type, help, defaultText: defaultText, required: required) { options, value in
            options[keyPath: path] = value
        }
    }

    private init<Value>(
        _ name: String, _ type: ValueType<Value>, _ help: String, defaultText: String?, required: Bool,
        store: @escaping (inout Options, Value) -> Void
    ) {
        self.name = name
        placeholder = type.placeholder
        allowed = type.allowed
        range = type.range
        choices = type.choices
        self.defaultText = defaultText
        isRequired = required
        isRepeatable = false
        self.help = help
        apply = { options, texts in
            for text in texts {
                guard let value = type.parse(text) else { return text }
                store(&options, value)
            }
            return nil
        }
    }

    /// A flag that may be given several times; what is given replaces the default list.
    init<Value>(
        _ name: String, each path: WritableKeyPath<Options, [Value]>, _ type: ValueType<Value>, _ help: String,
        required: Bool = false
    ) {
        let list = Options()[keyPath: path].map(type.format)
        self.name = name
        placeholder = type.placeholder
        allowed = type.allowed
        range = type.range
        choices = type.choices
        defaultText = list.isEmpty ? nil : list.joined(separator: " ")
        isRequired = required
        isRepeatable = true
        self.help = help
        apply = { options, texts in
            var values: [Value] = []
            for text in texts {
                guard let value = type.parse(text) else { return text }
                values.append(value)
            }
            options[keyPath: path] = values
            return nil
        }
    }

    /// A flag that is given or not: `--name`, or `--name=true` and `--name=false`.
    init(switch name: String, _ path: WritableKeyPath<Options, Bool>, _ help: String) {
        self.name = name
        placeholder = nil
        allowed = "true or false"
        range = nil
        choices = ["true", "false"]
        defaultText = nil
        isRequired = false
        isRepeatable = false
        self.help = help
        apply = { options, texts in
            for text in texts {
                guard let value = Bool(text) else { return text }
                options[keyPath: path] = value
            }
            return nil
        }
    }
}

/// Flags under one heading of the help.
package struct FlagGroup<Options: FlagOptions> {
    let title: String
    let flags: [Flag<Options>]

    init(_ title: String, _ flags: [Flag<Options>]) {
        self.title = title
        self.flags = flags
    }
}
